// Reads count events with the eventsource package, then prints them.
import { load, options, say } from './node_modules.mjs';

const { EventSource } = await load('eventsource');
const { url, count, types, since } = options;
const got = [];

const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init,
    headers: { ...init.headers, ...(since && { 'Last-Event-ID': since }) } }),
});
const take = e => {
  got.push({ id: e.lastEventId, event: e.type, data: e.data });
  if (got.length < count) return;
  source.close();
  say(got);
  process.exit(0);
};
for (const type of ['message', 'penstock.gap', ...types])
  source.addEventListener(type, take);
source.addEventListener('open', () => say({ ready: true }), { once: true });
source.addEventListener('error', e => console.error('error', e.message ?? ''));
