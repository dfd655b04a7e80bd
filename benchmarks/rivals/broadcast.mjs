// What a team writes that needs no more: node, the package `ws`, one process.
//   GET /ws, /sse, /lp?since=N    POST /pub
// usage: NODE_FOLDER=FOLDER-WITH-node_modules node broadcast.mjs PORT
import http from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NODE_FOLDER}/x.js`);
const { WebSocketServer } = require('ws');
const sockets = new Set(), streams = new Set(), log = [];
let first = 0, waiting = [];

function answer(res, since) {
  const next = first + log.length;
  res.writeHead(200, {
    'Content-Type': 'text/plain', 'Cache-Control': 'no-store',
    Link: `</lp?since=${next}>; rel="next"`,
  });
  res.end(log.slice(Math.max(0, since - first)).join('\n'));
}

function publish(text) {
  log.push(text);
  if (log.length > 4096) {
    log.shift();
    first++;
  }
  for (const s of sockets) s.send(text);
  for (const s of streams) s.write(`data: ${text}\n\n`);
  const asked = waiting;
  waiting = [];
  for (const w of asked) answer(w.res, w.since);
}

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  if (req.method === 'POST') {
    const parts = [];
    req.on('data', (d) => parts.push(d));
    req.on('end', () => {
      publish(Buffer.concat(parts).toString());
      res.writeHead(201);
      res.end();
    });
  } else if (url.pathname === '/sse') {
    res.writeHead(200, {
      'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache',
    });
    res.flushHeaders();
    streams.add(res);
    res.on('close', () => streams.delete(res));
  } else {
    const next = first + log.length;
    const since = Number(url.searchParams.get('since') ?? next);
    const now = /\bwait=0\b/.test(req.headers.prefer);
    if (since < next || now) answer(res, since);
    else waiting.push({ res, since });
  }
});
server.keepAliveTimeout = 600000;
server.requestTimeout = 0;

new WebSocketServer({ server, perMessageDeflate: false })
  .on('connection', (ws) => {
    sockets.add(ws);
    ws.on('close', () => sockets.delete(ws));
    ws.on('error', () => {});
  });
server.listen(Number(process.argv[2]), '127.0.0.1', 4096);
