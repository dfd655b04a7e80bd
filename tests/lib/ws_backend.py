"""A backend that speaks WebSocket."""

import asyncio
import contextlib
import threading

import websockets


class WsBackend:
    """A WebSocket server in a thread; what it does is `script(connection)`."""

    def __init__(self, script, compression=None, tls=None):
        self.script = script
        self.compression, self.tls = compression, tls
        self.connections = 0
        self.received = []
        self.closed = []
        self.loop = asyncio.new_event_loop()
        self.started = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.started.wait(5)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.started.set()
        self.loop.run_forever()

    async def _serve(self):
        self.server = await websockets.serve(self._handle, "127.0.0.1", 0,
                                             compression=self.compression,
                                             ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _handle(self, ws):
        self.connections += 1
        with contextlib.suppress(websockets.ConnectionClosed):
            await self.script(self, ws)
        await ws.wait_closed()
        self.closed.append((ws.close_code, ws.close_reason))

    def stop(self):
        """Again is fine."""
        if not self.thread.is_alive():
            return

        async def end():
            self.server.close()
            await self.server.wait_closed()
            self.loop.stop()
        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.thread.join(5)
