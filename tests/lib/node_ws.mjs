// Reads count messages with the ws package, then closes and prints them.
import { load, options, say } from './node_modules.mjs';

const { default: WebSocket } = await load('ws');
const { url, count, protocol, send } = options;
const got = [];

const socket = new WebSocket(url, protocol ? [protocol] : []);
socket.on('open', () => {
  say({ ready: true });
  send.forEach(m => socket.send(m));
});
socket.on('message', (data, binary) => {
  got.push(binary ? { binary: data.toString('base64') }
    : protocol ? JSON.parse(data) : { data: String(data) });
  if (got.length === count) socket.close(1000);
});
socket.on('close', code => {
  say(got);
  process.exit(code === 1000 ? 0 : 1);
});
socket.on('error', e => console.error('error', e.message));
