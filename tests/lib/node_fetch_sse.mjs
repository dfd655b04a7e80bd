// Reads an event stream with node's fetch, as it comes, until it has count
// data lines; prints the answer's coding and those lines.
import { options, say } from './node_modules.mjs';

const { url, count } = options;
const abort = new AbortController();
const answer = await fetch(url, { signal: abort.signal,
  headers: { accept: 'text/event-stream', 'accept-encoding': 'gzip' } });
const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
say({ ready: true });

let text = '', data = [];
while (data.length < count) {
  const { done, value } = await reader.read();
  if (done) break;
  text += value;
  data = text.split('\n').filter(l => l.startsWith('data: '))
    .map(l => l.slice(6));
}
say({ coding: answer.headers.get('content-encoding'), data });
abort.abort();
