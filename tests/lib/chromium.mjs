// Reads count messages in one Chromium page, by EventSource and by WebSocket
// (penstock.v1) at once, then prints both.
import { chromium, how } from './browser.mjs';
import { options, say } from './node_modules.mjs';

const context = await chromium.launchPersistentContext(options.profile, how);

// Runs in the page.
function follow({ path, count, types }) {
  const byEventSource = new Promise(done => {
    const got = [], source = new EventSource(path);
    const take = e => {
      got.push({ id: e.lastEventId, event: e.type, data: e.data });
      if (got.length === count) done((source.close(), got));
    };
    for (const type of ['message', 'penstock.gap', ...types])
      source.addEventListener(type, take);
    window.sourceOpen = new Promise(r => { source.onopen = r; });
  });
  const byWebSocket = new Promise((done, fail) => {
    const got = [], url = new URL(path, location);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, 'penstock.v1');
    socket.onmessage = e => {
      got.push(JSON.parse(e.data));
      if (got.length === count) socket.close(1000);
    };
    socket.onclose = e => e.code === 1000 ? done(got)
      : fail(new Error('closed with ' + e.code));
    window.socketOpen = new Promise(r => { socket.onopen = r; });
  });
  window.both = Promise.all([byEventSource, byWebSocket]);
  return Promise.all([window.sourceOpen, window.socketOpen]).then(() => true);
}

try {
  const page = context.pages()[0] ?? await context.newPage();
  await page.goto(options.page);
  await page.evaluate(follow, options);
  say({ ready: true });
  const [eventsource, websocket] = await page.evaluate(() => window.both);
  say({ eventsource, websocket });
} finally {
  await context.close();
}
