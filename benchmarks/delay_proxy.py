#!/usr/bin/python3
"""A link with a delay, between one port and another: every octet that comes in
goes out half a round trip later, in both directions, and a new connection
costs one round trip more, as its handshake would.  Bandwidth is not limited
and nothing is lost.

    benchmarks/delay_proxy.py LISTEN_PORT TARGET_PORT ROUND_TRIP_MS"""

import asyncio
import sys


class Side(asyncio.Protocol):
    """One of the two ends; other is where its octets go to."""

    def __init__(self, link):
        self.link, self.other, self.transport = link, None, None
        self.held = []      # before the other end is there
        self.not_before = 0

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(1 << 24)

    def data_received(self, data):
        self.later(data)

    def eof_received(self):
        self.later(None)
        return True  # the other direction goes on

    def connection_lost(self, exc):
        self.later(None)

    def later(self, data):
        """Timers of one loop that are due in order are run in order."""
        loop = self.link.loop
        due = max(loop.time() + self.link.one_way_s, self.not_before)
        self.not_before = due
        loop.call_at(due, self.pass_on, data)

    def pass_on(self, data):
        other = self.other
        if other is None or other.transport is None:
            self.held.append(data)
        elif data is not None:
            other.transport.write(data)
        elif not other.transport.is_closing():
            other.transport.close()


class Client(Side):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.not_before = self.link.loop.time() + 3 * self.link.one_way_s
        self.task = self.link.loop.create_task(self.open())

    async def open(self):
        self.other = Side(self.link)
        self.other.other = self
        try:
            await self.link.loop.create_connection(
                lambda: self.other, "127.0.0.1", self.link.target)
        except OSError:
            self.transport.abort()
            return
        held, self.held = self.held, []
        for data in held:
            self.pass_on(data)


class Link:
    """async with Link(target_port, 0.1) as link: link.port"""

    def __init__(self, target, round_trip_s, port=0):
        self.target, self.one_way_s = target, round_trip_s / 2
        self.wanted = port

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        self.server = await self.loop.create_server(
            lambda: Client(self), "127.0.0.1", self.wanted, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()


async def main():
    listen, target, ms = (float(a) for a in sys.argv[1:4])
    async with Link(int(target), ms / 1000, int(listen)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(main())
