// A WebSocket server of the ws package that says each line that comes to a file
// to whoever is connected then, and drops whom it does not hear: node
// speaker_ws.mjs '{"port": N, "log": FILE}'.
import { readFileSync, statSync } from 'node:fs';
import { load, options } from './node_modules.mjs';

const { default: { WebSocketServer } } = await load('ws');
const { port, log } = options;

const size = () => statSync(log, { throwIfNoEntry: false })?.size ?? 0;
let at = size();

const server = new WebSocketServer({
  port, host: '127.0.0.1', perMessageDeflate: { threshold: 0 },
});
server.on('connection', socket => {
  socket.heard = true;
  socket.on('pong', () => { socket.heard = true; });
  socket.on('error', () => {});
});

setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.heard) return socket.terminate();
    socket.heard = false;
    socket.ping();
  }
}, 2000);

setInterval(() => {
  if (size() === at) return;
  const text = readFileSync(log).subarray(at).toString();
  const end = text.lastIndexOf('\n') + 1;
  at += end;
  for (const line of text.slice(0, end).split('\n').slice(0, -1))
    for (const socket of server.clients) socket.send(line);
}, 3);
