// Pushpin's origin: says of each new client that it is to be held.
// usage: node hold.mjs PORT
import http from 'node:http';

http.createServer((req, res) => {
  req.resume();
  req.on('end', () => {
    if (req.url === '/ws') {
      const subscribe = 'c:{"type":"subscribe","channel":"a"}';
      res.writeHead(200, {
        'Content-Type': 'application/websocket-events',
        'Sec-WebSocket-Extensions': 'grip',
      });
      res.end(`OPEN\r\nTEXT ${subscribe.length.toString(16)}\r\n`
        + `${subscribe}\r\n`);
    } else {
      res.writeHead(200, {
        'Content-Type': 'text/event-stream', 'Grip-Hold': 'stream',
        'Grip-Channel': 'a',
      });
      res.end(': open\n\n');
    }
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
