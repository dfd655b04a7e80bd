// What a test does with penstock.js, in node as in a page: tells each event, and
// ends when a message's data is options.until, or at a final error.  Nothing
// from outside is used, so that it can be carried into a page as text.
// subscribe: {at, channel, leave}: what to read from, and no more, when a
// message's data is at; without at, while it connects.
export function follow(Penstock,
  { url, client, until, types, send, subscribe }, say) {
  const stream = new Penstock(url, client);
  if (subscribe && subscribe.at === undefined)
    setTimeout(() => stream.subscribe(subscribe.channel), 0);
  const state = () => ({ readyState: stream.readyState,
    transport: stream.transport, cursor: stream.cursor });
  return new Promise(done => {
    const take = e => {
      say({ is: 'message', id: e.lastEventId, type: e.type, data: e.data,
        channel: e.channel });
      if (subscribe && e.data === subscribe.at) {
        stream.subscribe(subscribe.channel, subscribe.since);
        stream.unsubscribe(subscribe.leave);
        say({ is: 'channels', channels: stream.channels });
      }
      if (e.data !== until) return;
      stream.close();
      say({ is: 'end', ...state() });
      done();
    };
    for (const type of ['message', ...types]) stream.addEventListener(type, take);
    stream.onopen = async () => {
      say({ is: 'open', ready: true, ...state() });
      for (const data of send.splice(0))
        say({ is: 'sent', data, ok: await stream.send(data) });
    };
    stream.addEventListener('transport', e =>
      say({ is: 'transport', transport: e.transport }));
    stream.addEventListener('gap', e =>
      say({ is: 'gap', from: e.from, to: e.to, channels: e.channels }));
    stream.onerror = e => {
      say({ is: 'error', message: e.message, by: e.transport, status: e.status,
        code: e.code, ...state() });
      if (stream.readyState === Penstock.CLOSED) done();
    };
  });
}
