// penstock.js - follows a route of penstock by whichever of its transports gets
// through: WebSocket, server-sent events, long polling or polling.
//
// Everything hangs on one thing: a message's id is the same on every transport.
// The client keeps the last one (its cursor), asks for what comes after it
// wherever it connects next, and drops what it has had already.
//
// The cursor travels as ?since= and never as Last-Event-ID: a query is the one
// place that a WebSocket has for it, too, and it makes no browser ask for leave
// (a CORS preflight) before each request.

const CONNECTING = 0, OPEN = 1, CLOSED = 2;

const RETRY_MS = 1000;            // what the first pause is drawn from
const RETRY_MIN_MS = 50;          // whatever a server says
const PAUSE_MAX_MS = 30_000;      // and the longest one
const TIMEOUT_MS = 10_000;        // for a transport to show that it works
const POLL_MS = 5000;             // between polls, where nobody says
const POLL_MAX_MS = 3_600_000;    // a longer max-age is meant for caches
const WAIT_S = 25;                // of a long poll: proxies often cut at 30
const UPGRADE_MS = 60_000;        // until a better transport is tried again
const UPGRADE_MAX_MS = 900_000;
const MOVE_MS = 10_000;           // in which all readers move who are advised to
const STEADY_MS = 5000;           // a connection that lasts so long is good
const FAILURES_MAX = 3;           // in a row, of a transport that has worked

// A longer wait than a timer can count would end at once.
const after = (ms, run) => setTimeout(run, Math.min(ms, 0x7fffffff));

// --- ids ---------------------------------------------------------------------

// The two parts of an id, or null for what is none ("now", "-5").
function placeOf(id) {
  const m = /^(.+)-(\d+)$/.exec(id ?? '');
  return m && { epoch: m[1], seq: BigInt(m[2]) };
}

function isRepeat(id, cursor) {
  const a = placeOf(id), b = placeOf(cursor);
  return Boolean(a && b) && a.epoch === b.epoch && a.seq <= b.seq;
}

// As the server writes a channel's name: like the path of a URL.
function nameOf(channel) {
  return channel.replace(/%[0-9a-f]{2}|[^\w.~\-/%!$&'()*+,;=:@]/giu, c => {
    if (c[0] !== '%') return encodeURIComponent(c);
    const plain = String.fromCharCode(parseInt(c.slice(1), 16));
    return /[\w.~\-]/.test(plain) ? plain : c.toUpperCase();
  });
}

function idBefore(id) {
  const place = placeOf(id);
  return place && place.seq > 0n ? `${place.epoch}-${place.seq - 1n}` : null;
}

// --- JSON, as it is written --------------------------------------------------

// Data that is JSON stands in the envelope byte for byte.  To print it again
// would change it (1e400, 9007199254740993), so it is cut out instead.  These
// functions read only what JSON.parse() has taken.

const skipSpace = (text, at) => {
  while (' \t\n\r'.includes(text[at] ?? '.')) at++;
  return at;
};

function skipString(text, at) {
  for (;;) {
    let slashes = 0;
    at = text.indexOf('"', at + 1);
    while (text[at - 1 - slashes] === '\\') slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
}

function skipValue(text, at) {
  if (text[at] === '"') return skipString(text, at);
  const nested = text[at] === '{' || text[at] === '[';
  const mark = nested ? /["[\]{}]/g : /[,\]}\s]|$/g;
  mark.lastIndex = at;
  if (!nested) return mark.exec(text).index;
  for (let depth = 0; ;) {
    const { 0: c, index } = mark.exec(text);
    if (c === '"') mark.lastIndex = skipString(text, index);
    else if (c === '[' || c === '{') depth++;
    else if (--depth === 0) return mark.lastIndex;
  }
}

// A map of an object's values by name, or of an array's by index.
export function written(text) {
  const values = new Map();
  let at = skipSpace(text, 0);
  const isObject = text[at] === '{';
  at = skipSpace(text, at + 1);
  while (text[at] !== '}' && text[at] !== ']') {
    let name = values.size;
    if (isObject) {
      const end = skipString(text, at);
      name = JSON.parse(text.slice(at, end));
      at = skipSpace(text, skipSpace(text, end) + 1);
    }
    const end = skipValue(text, at);
    values.set(name, text.slice(at, end));
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return values;
}

const toMessage = (envelope, raw) => ({
  id: envelope.id,
  ...('channel' in envelope && { channel: envelope.channel }),
  type: envelope.event || 'message',
  data: typeof envelope.data === 'string' ? envelope.data
    : written(raw()).get('data') ?? '',
});

// What a frame of penstock.v1 says: a message, {gap}, {next}, or, of channels,
// {subscribed, id}, {unsubscribed} or {error}.
export function readFrame(text) {
  const frame = JSON.parse(text);
  return 'data' in frame ? toMessage(frame, () => text) : frame;
}

// {messages, next, gap} of a poll's answer; null for something else.
export function readBatch(text) {
  const batch = JSON.parse(text);
  let elements;
  if (!Array.isArray(batch?.messages)) return null;
  batch.messages = batch.messages.map((m, i) => toMessage(m, () => {
    elements ??= written(written(text).get('messages'));
    return elements.get(i);
  }));
  return batch;
}

// --- text/event-stream -------------------------------------------------------

// HTML living standard, "Interpreting an event stream".  Takes text in pieces
// cut anywhere; onBlock({id, type, data}) for each block, without the members
// that it had no field for: one of an id alone moves the cursor.
export class EventStreamParser {
  #pieces = [];  // of a line that has not ended yet
  #afterCr = false;
  #block = {};
  #lines = [];   // of data
  #onBlock;
  #onRetry;

  constructor(onBlock, onRetry = () => {}) {
    this.#onBlock = onBlock;
    this.#onRetry = onRetry;
  }

  push(text) {
    const end = /\r\n|\r|\n/g;
    let at = 0;
    if (text === '') return;
    if (this.#afterCr && text[0] === '\n') at = 1;
    this.#afterCr = text.endsWith('\r');
    end.lastIndex = at;
    for (let m; (m = end.exec(text)) !== null; at = end.lastIndex) {
      this.#pieces.push(text.slice(at, m.index));
      const line = this.#pieces.join('');
      this.#pieces.length = 0;
      this.#take(line);
    }
    if (at < text.length) this.#pieces.push(text.slice(at));
  }

  #take(line) {
    if (line === '') return this.#end();
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? '' : line.slice(colon + 1);
    if (value[0] === ' ') value = value.slice(1);
    switch (name) {
      case 'data': this.#lines.push(value); break;
      case 'event': this.#block.type = value; break;
      case 'id': if (!value.includes('\0')) this.#block.id = value; break;
      case 'retry': if (/^\d+$/.test(value)) this.#onRetry(+value); break;
    }
  }

  #end() {
    const block = this.#block;
    if (this.#lines.length > 0) block.data = this.#lines.join('\n');
    this.#block = {};
    this.#lines = [];
    if ('data' in block || 'id' in block) this.#onBlock(block);
  }
}

// --- what goes wrong ---------------------------------------------------------

// verdict: "retry" come back; "refused" not by this transport; "over" never.
// details: status of HTTP, code of a WebSocket's close, delay in ms that was
// asked for, serves: the names of what the route serves instead.
class Trouble extends Error {
  constructor(verdict, message, details = {}) {
    super(message);
    this.verdict = verdict;
    this.details = details;
  }
}

function retryAfter(response) {
  const value = response.headers.get('Retry-After') ?? '';
  const ms = /^\d+$/.test(value) ? value * 1000
    : Date.parse(value) - Date.now();
  return ms > 0 ? Math.min(ms, POLL_MAX_MS) : 0;
}

// The detail of a problem document (RFC 9457), or the status in words.
async function describe(response) {
  const text = await response.text().catch(() => '');
  try {
    const { detail, title } = JSON.parse(text);
    return String(detail || title);
  } catch {
    return `the server answered ${response.status} ${response.statusText}`;
  }
}

async function troubleOf(response) {
  const { status } = response, message = await describe(response);
  if (status === 406 || status === 426) {
    const names = /serves (.+) only/.exec(message)?.[1].split(', ');
    return new Trouble('refused', message, { status, serves: names });
  }
  if ([408, 425, 429].includes(status) || status >= 500)
    return new Trouble('retry', message,
      { status, delay: retryAfter(response) });
  return new Trouble('over', message, { status });
}

// --- the transports ----------------------------------------------------------

// One connection, or one run of polls.  host is the client's side of it:
// settings, url(params), since(), opened(), message(), gap(), position(),
// trouble(), retry() and, once and at the end, ended().  After stop() it says no more.
class Link {
  isOpen = false;
  stopped = false;
  useful = false;   // has brought something, or has lasted
  #timer;

  constructor(name, host) {
    this.name = name;
    this.host = host;
  }

  // Ends it with a trouble unless it is called off, by 0, in time.
  deadline(ms) {
    clearTimeout(this.#timer);
    if (ms > 0)
      this.#timer = after(ms,
        () => this.end(new Trouble('retry', 'no answer in time')));
  }

  open() {
    if (this.isOpen) return;
    this.isOpen = true;
    this.deadline(0);
    this.steady = after(STEADY_MS, () => { this.useful = true; });
    this.host.opened(this);
  }

  end(trouble) {
    if (this.stopped) return;
    this.stop();
    this.host.ended(this, trouble);
  }

  stop() {
    this.stopped = true;
    this.deadline(0);
    clearTimeout(this.steady);
    this.abandon();
  }
}

class WebSocketLink extends Link {
  #socket;

  start() {
    const { WebSocket, headers, timeout } = this.host.settings;
    const url = this.host.url({ since: this.host.since() });
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    // Node's ws takes headers; browsers have no place for them.
    const more = headers ? [{ headers }] : [];
    this.deadline(timeout);
    try {
      this.#socket = new WebSocket(url.href, ['penstock.v1'], ...more);
    } catch (e) {
      return this.end(new Trouble('refused', e.message));
    }
    this.#socket.onopen = () => this.#opened();
    this.#socket.onmessage = e => this.#take(e.data);
    this.#socket.onerror = () => {}; // close tells
    this.#socket.onclose = e => this.#closed(e);
  }

  #opened() {
    if (this.stopped) return;
    if (this.#socket.protocol === 'penstock.v1') this.open();
    else this.end(new Trouble('refused', 'no penstock.v1 is spoken here'));
  }

  #take(text) {
    let frame;
    if (this.stopped) return;
    try {
      frame = readFrame(text);
    } catch (e) {
      return this.end(new Trouble('refused', `no envelope: ${e.message}`));
    }
    if (frame.gap) this.host.gap(this, frame.gap);
    else if (frame.subscribed)
      this.host.position(this, frame.id, frame.subscribed);
    else if (frame.error) this.host.trouble(this, frame.error);
    else if ('data' in frame) this.host.message(this, frame);
    else if ('stale' in frame) this.host.stale(this, frame);
    else if (frame.advice) this.host.advice(this, frame.advice);
    else if (frame.next) this.host.position(this, frame.next);
  }

  // 1000 and 1008 are meant; 4400 to 4499 are a 4xx of the application's.
  #closed({ code, reason }) {
    const over = code === 1000 || code === 1008 ||
      (code >= 4400 && code < 4500);
    const what = this.isOpen ? 'the WebSocket was closed'
      : 'no WebSocket could be opened';
    const retry = /\(retry in (\d+) ms\)$/.exec(reason);
    if (retry) this.host.retry(+retry[1]);
    this.end(new Trouble(this.isOpen && over ? 'over' : 'retry',
      reason ? `${what}: ${reason}` : what, { code }));
  }

  // Whether it went out.
  send(data) {
    if (!this.isOpen || this.#socket.readyState !== 1) return false;
    this.#socket.send(data);
    return true;
  }

  abandon() {
    this.#socket?.close();
  }
}

class FetchLink extends Link {
  #abort = new AbortController();

  start() {
    this.run().catch(e => this.end(
      e instanceof Trouble ? e : new Trouble('retry', e.message)));
  }

  // A request whose answer is 200 or 204; else it throws.
  async request(params, accept, cache) {
    const { fetch } = this.host.settings;
    const response = await fetch(this.host.url(params).href, {
      ...this.host.init({ Accept: accept }),
      cache,
      signal: this.#abort.signal,
    });
    if (response.status !== 200 && response.status !== 204)
      throw await troubleOf(response);
    return response;
  }

  abandon() {
    this.#abort.abort();
  }
}

function typeOf(response) {
  const type = response.headers.get('Content-Type') ?? '';
  return type.split(';')[0].trim().toLowerCase();
}

// By fetch() and not by EventSource, which takes no headers, hides the status
// and does not exist in node.
class EventStreamLink extends FetchLink {
  async run() {
    this.deadline(this.host.settings.timeout);
    const response = await this.request({ since: this.host.since() },
      'text/event-stream', 'no-store');
    if (response.status === 204)
      throw new Trouble('over', 'this channel is over', { status: 204 });
    if (typeOf(response) !== 'text/event-stream' || !response.body)
      throw new Trouble('refused', 'the answer is no event stream');
    await this.#follow(response.body.getReader());
  }

  // It is open when octets come: a proxy that keeps a stream back until it ends
  // lets its head pass.
  async #follow(reader) {
    const decoder = new TextDecoder(); // takes the BOM off, too
    const parser = new EventStreamParser(block => this.#take(block),
      ms => this.host.retry(ms));
    for (;;) {
      const { done, value } = await reader.read();
      if (this.stopped) return;
      if (done) throw new Trouble('retry', 'the stream has ended');
      this.open();
      parser.push(decoder.decode(value, { stream: true }));
    }
  }

  #take({ id, type = '', data }) {
    if (type === 'penstock.gap' && data !== undefined) {
      this.host.gap(this, { ...JSON.parse(data), position: id });
    } else if (type === 'penstock.advice' && data !== undefined) {
      this.host.advice(this, JSON.parse(data).advice);
    } else if (type === 'penstock.stale' && data !== undefined) {
      this.host.stale(this, JSON.parse(data));
    } else if (data !== undefined && this.host.enveloped) {
      this.host.message(this, readFrame(data));
    } else if (data !== undefined) {
      this.host.message(this, { id, type: type || 'message', data });
    } else {
      this.host.position(this, id);
    }
  }
}

// What an empty answer says of where to go on: ETag, or the Link header.
function positionOf(response) {
  const { headers } = response;
  const etag = /^(?:W\/)?"(.+)"$/.exec(headers.get('ETag') ?? '')?.[1];
  return etag ?? /[?&]since=([^&>]+)/.exec(headers.get('Link') ?? '')?.[1];
}

class PollLink extends FetchLink {
  async run() {
    const long = this.name === 'longpoll';
    for (let first = true; !this.stopped; first = false) {
      const began = Date.now();
      // The first one does not wait: it shows that polling works.
      const wait_s = long && !first ? WAIT_S : 0;
      this.deadline(wait_s * 1000 + this.host.settings.timeout);
      const response = await this.request({
        since: this.host.since() ?? 'now',
        wait: long ? wait_s : undefined,
      }, 'application/json', long ? 'no-store' : 'default');
      const count = await this.#take(response, long);
      if (this.stopped) return;
      this.#heed(response);
      if (this.stopped) return;
      const pause = !long ? this.#interval(response, count)
        : count > 0 || first ? 0 : began + 1000 - Date.now();
      if (pause > 0) await new Promise(done => after(pause, done));
    }
  }

  // Gives on what an answer holds; how many messages that was.
  async #take(response, long) {
    const text = response.status === 200 ? await response.text() : '';
    if (this.stopped) return 0;
    this.deadline(0);
    if (response.status === 204) {
      this.open();
      this.host.position(this, positionOf(response));
      return 0;
    }
    if (typeOf(response) !== 'application/json')
      throw new Trouble('refused', 'the answer is no batch of messages');
    const batch = readBatch(text);
    if (batch === null)
      throw new Trouble('refused', 'the answer is no batch of messages');
    // A long poll that has nothing waits and then says 204.
    if (long && batch.messages.length === 0 && !batch.gap)
      throw new Trouble('refused', 'this route does not wait');
    this.open();
    this.#give(batch);
    return batch.messages.length;
  }

  #give({ messages, gap, next }) {
    const to = messages[0]?.id;
    if (gap)
      this.host.gap(this, { from: this.host.since(), to,
        position: idBefore(to) ?? next });
    for (const m of messages) this.host.message(this, m);
    this.host.position(this, next);
  }

  // Penstock-Advice: poll;every_ms=12000
  #heed(response) {
    const m = /^(\w+)(?:;every_ms=(\d+))?$/.exec(
      response.headers.get('Penstock-Advice') ?? '');
    if (m) this.host.advice(this, { transport: m[1], every_ms: +(m[2] ?? 0) });
  }

  // A page of history that may be kept for ever is full: more follows it.
  #interval(response, count) {
    const control = response.headers.get('Cache-Control') ?? '';
    const max_age_ms = /max-age=(\d+)/.exec(control)?.[1] * 1000;
    if (count > 0 && max_age_ms > POLL_MAX_MS) return 0;
    return this.host.settings.pollInterval ?? this.host.every() ??
      (max_age_ms > 0 ? Math.min(max_age_ms, POLL_MAX_MS) : POLL_MS);
  }
}

const LINKS = {
  websocket: WebSocketLink,
  sse: EventStreamLink,
  longpoll: PollLink,
  poll: PollLink,
};

// --- the client --------------------------------------------------------------

const HANDLERS = ['open', 'message', 'error', 'transport', 'gap', 'stale'];

function checkOptions(options) {
  const settings = {
    transports: Object.keys(LINKS), timeout: TIMEOUT_MS, retry: RETRY_MS,
    upgrade: UPGRADE_MS, move: MOVE_MS, WebSocket: globalThis.WebSocket,
    fetch: globalThis.fetch?.bind(globalThis), ...options,
  };
  settings.open = options.transports === undefined; // the choice is
  for (const name of settings.transports)
    if (!Object.hasOwn(LINKS, name))
      throw new TypeError(`no transport is called ${JSON.stringify(name)}`);
  settings.names = settings.transports.filter(name =>
    name === 'websocket' ? settings.WebSocket : settings.fetch);
  if (settings.names.length === 0)
    throw new TypeError('none of the transports can be used here');
  return settings;
}

export class Penstock extends EventTarget {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSED = CLOSED;
  CONNECTING = CONNECTING;
  OPEN = OPEN;
  CLOSED = CLOSED;

  #url;
  #settings;
  #host;
  #state = CONNECTING;
  #cursor = null;
  #channels = null;     // of several: the cursor of each, by name
  #choice = 0;          // of channels: how often it has changed
  #known;               // the transport that was told of last
  #link = null;         // in use, or being opened
  #trial = null;        // a better one that is being tried beside it
  #advised = null;      // the name of the one that the server would have us use
  #every_ms = null;     // and how often we should poll then
  #refused = new Set(); // not served: never again
  #proven = new Set();  // have worked
  #failures = 0;        // in a row, of one transport
  #pauses = 0;          // in a row, of any
  #blind = false;       // a connection was lost that had told us no id
  #retry_ms;
  #upgrade_ms;
  #timer;
  #upgradeTimer;
  #handlers = {};
  #online = () => this.#hurry();

  constructor(url, options = {}) {
    super();
    this.#settings = checkOptions(options);
    this.#url = new URL(url,
      globalThis.document?.baseURI ?? globalThis.location?.href);
    this.#setRetry(this.#settings.retry);
    this.#upgrade_ms = this.#settings.upgrade;
    this.#settings.since ??= this.#url.searchParams.get('since') ?? undefined;
    if (placeOf(this.#settings.since)) this.#cursor = this.#settings.since;
    if (this.#settings.channels)
      this.#channels = new Map(
        [...this.#settings.channels].map(name => [nameOf(name), undefined]));
    this.#host = this.#makeHost();
    globalThis.addEventListener?.('online', this.#online);
    this.#timer = after(0, () => this.#connect(this.#candidates()[0]));
  }

  get url() { return this.#url.href; }
  get readyState() { return this.#state; }
  get transport() { return this.#state === OPEN ? this.#link.name : null; }
  get cursor() { return this.#cursor; }
  get channels() { return this.#channels && [...this.#channels.keys()]; }
  get withCredentials() { return Boolean(this.#settings.withCredentials); }

  close() {
    this.#state = CLOSED;
    clearTimeout(this.#timer);
    clearTimeout(this.#upgradeTimer);
    globalThis.removeEventListener?.('online', this.#online);
    this.#link?.stop();
    this.#trial?.stop();
    this.#trial = null;
  }

  // Of a route that was opened with channels: to read one more, from the place
  // since or from where the route begins, or one less.
  subscribe(name, since) {
    const channel = nameOf(name);
    if (this.#channels.has(channel)) return;
    this.#channels.set(channel, since);
    this.#command({ subscribe: channel, since });
  }

  unsubscribe(name) {
    const channel = nameOf(name);
    if (this.#channels.delete(channel)) this.#command({ unsubscribe: channel });
  }

  // A WebSocket is told; by another transport it is asked for anew, once for
  // all that is said at a time.
  #command(command) {
    this.#choice++;
    if (this.#state !== OPEN) return;
    if (this.#link instanceof WebSocketLink &&
        this.#link.send(JSON.stringify(command)))
      this.#link.choice = this.#choice;
    else
      this.#askAnew();
  }

  #askAnew() {
    clearTimeout(this.#timer);
    this.#timer = after(0, () => {
      if (this.#state !== OPEN) return;
      this.#link.stop();
      this.#connect(this.#link.name);
    });
  }

  // channel: whose it is, of several.
  async send(data, channel) {
    if (this.#state === CLOSED) return false;
    if (!this.#channels && this.#link instanceof WebSocketLink &&
        this.#link.send(data))
      return true;
    const url = new URL(this.#url);
    if (channel !== undefined) url.searchParams.set('channel', channel);
    try {
      const response = await this.#settings.fetch(url.href,
        { ...this.#host.init(), method: 'POST', body: data });
      if (!response.ok) throw await troubleOf(response);
      // 201 is a receipt; 200 may hold what the backend says to us alone.
      const reply = response.status === 200 ? await response.text() : '';
      if (reply !== '') this.#dispatch({ type: 'message', data: reply }, '');
      return true;
    } catch (e) {
      this.#tell('error',
        { message: e.message, transport: null, ...e.details });
      return false;
    }
  }

  // --- what a link may ask, and tells ---

  #makeHost() {
    // What comes of a link that is not, or no more, in use goes nowhere.
    const current = what => (link, ...args) => {
      if (link === this.#link && this.#state === OPEN) what(link, ...args);
    };
    return {
      settings: this.#settings,
      enveloped: this.#channels !== null,
      url: params => this.#address(params),
      init: headers => ({
        headers: { ...headers, ...this.#settings.headers },
        credentials: this.withCredentials ? 'include' : 'same-origin',
      }),
      since: () => this.#cursor ?? this.#settings.since,
      retry: ms => this.#setRetry(ms),
      opened: link => this.#opened(link),
      ended: (link, trouble) => this.#ended(link, trouble),
      message: current((link, m) => this.#message(link, m)),
      gap: current((link, gap) => this.#gap(gap)),
      position: current((link, ...place) => this.#position(link, ...place)),
      stale: current((link, { stale, channel }) => this.#tell('stale',
        channel === undefined ? { stale } : { stale, channel })),
      advice: current((link, advice) => this.#advise(advice)),
      every: () => this.#every_ms,
      trouble: current((link, { detail, channel }) => this.#tell('error',
        { message: detail, transport: link.name, channel })),
    };
  }

  #address(params) {
    const url = new URL(this.#url);
    url.hash = '';
    for (const [name, value] of Object.entries(params))
      if (value !== undefined && !(this.#channels && name === 'since'))
        url.searchParams.set(name, value);
    for (const [name, cursor] of this.#channels ?? []) {
      const since = cursor ?? params.since;
      url.searchParams.append('channel', name);
      if (since !== undefined) url.searchParams.append('since', since);
    }
    return url;
  }

  // Where it has come to: of several channels, in this one.
  #place(channel) {
    return this.#channels ? this.#channels.get(channel) : this.#cursor;
  }

  #moveTo(id, channel) {
    if (this.#channels) this.#channels.set(channel, id);
    if (!isRepeat(id, this.#cursor)) this.#cursor = id;
  }

  #message(link, message) {
    const { id, channel } = message;
    if (this.#channels && !this.#channels.has(channel)) return;
    if (isRepeat(id, this.#place(channel))) return;
    if (id !== undefined) this.#moveTo(id, channel);
    link.useful = true;
    this.#pauses = 0;
    this.#dispatch(message, id ?? this.#cursor ?? '');
  }

  // The cursor moves with it: whoever was told is not told again.
  #gap({ from, to, position, channels }) {
    const id = position ?? idBefore(to) ?? this.#cursor;
    if (!this.#channels) this.#cursor = id;
    for (const name of channels ?? this.#channels?.keys() ?? [])
      if (this.#channels?.has(name) && !isRepeat(id, this.#place(name)))
        this.#moveTo(id, name);
    this.#tell('gap', { from: from || null, to: to || null, channels });
  }

  // Where a reader stands who has had no message yet.  An id of another epoch
  // is left to the gap mark that goes with it, in case that does not arrive.
  #position(link, id, only) {
    if (!id) return;
    const news = cursor => (cursor ?? null) === null ||
      (link instanceof PollLink && !isRepeat(id, cursor));
    if (!this.#channels && news(this.#cursor)) this.#cursor = id;
    for (const [name, cursor] of this.#channels ?? [])
      if ((only ?? name) === name && (news(cursor) || !placeOf(cursor)))
        this.#moveTo(id, name);
  }

  // --- which transport ---

  // The best first.
  #order() {
    const names = this.#settings.names.filter(name => name !== this.#advised);
    return this.#advised ? [this.#advised, ...names] : names;
  }

  #candidates() {
    return this.#order().filter(name => !this.#refused.has(name));
  }

  // Each at another moment: all readers of a channel hear it at once.
  #advise({ transport, every_ms }) {
    const { names, open, move } = this.#settings;
    if (!open || !names.includes(transport)) return;
    this.#every_ms = every_ms || null;
    if (this.#advised === transport) return;
    this.#advised = transport;
    this.#trial?.stop();
    this.#trial = null;
    this.#planUpgrade(move * Math.random());
  }

  // choice: the channels that it asks for.
  #make(name) {
    return Object.assign(new LINKS[name](name, this.#host),
      { choice: this.#choice });
  }

  #connect(name) {
    this.#link = this.#make(name);
    this.#link.start();
  }

  #opened(link) {
    const was = this.#state;
    this.#proven.add(link.name);
    if (link === this.#trial) {
      this.#trial = null;
      this.#link.stop();
      this.#link = link;
      this.#failures = 0;
      this.#upgrade_ms = this.#settings.upgrade;
    }
    this.#state = OPEN;
    if (link.choice !== this.#choice) this.#askAnew();
    this.#planUpgrade();
    if (this.#known !== link.name)
      this.#tell('transport', { transport: this.#known = link.name });
    if (was === CONNECTING && this.#state === OPEN) this.#tell('open');
    if (this.#blind && this.#state === OPEN)
      this.#tell('gap', { from: null, to: null });
    this.#blind = false;
  }

  #ended(link, trouble) {
    if (link === this.#trial) return this.#trialFailed(link, trouble);
    clearTimeout(this.#upgradeTimer);
    this.#trial?.stop();
    this.#trial = null;
    const next = this.#choose(link, trouble);
    // It was following, and nobody knows from where: what it misses is a gap.
    this.#blind ||= link.isOpen && (this.#host.since() ?? 'now') === 'now';
    this.#state = next.name ? CONNECTING : CLOSED;
    if (next.name)
      this.#timer = after(next.pause, () => this.#connect(next.name));
    else
      this.close();
    this.#tell('error',
      { message: trouble.message, transport: link.name, ...trouble.details });
  }

  // {name, pause}: what to try next, and in how many ms; no name at the end.
  #choose(link, { verdict, details }) {
    if (verdict === 'over') return {};
    if (verdict === 'refused') this.#refuse(link.name, details.serves);
    if (link.useful) this.#failures = this.#pauses = 0;
    this.#failures++;
    const names = this.#candidates(), order = this.#order();
    if (names.length === 0) return {};
    if (names.includes(link.name) && this.#proven.has(link.name) &&
        this.#failures < FAILURES_MAX)
      return { name: link.name, pause: this.#pause(details.delay) };
    this.#failures = 0;
    const following = names.find(n => order.indexOf(n) > order.indexOf(link.name));
    return following && !details.delay ? { name: following, pause: 0 }
      : { name: names[0], pause: this.#pause(details.delay) };
  }

  #refuse(name, served) {
    const names = this.#settings.names;
    if (served) this.#refused = new Set(names.filter(n => !served.includes(n)));
    this.#refused.add(name);
  }

  #setRetry(ms) {
    this.#retry_ms = Math.max(ms, RETRY_MIN_MS);
  }

  // Full jitter: clients that were lost together do not come back together.
  #pause(least_ms = 0) {
    const most = Math.min(this.#retry_ms * 2 ** this.#pauses++,
      Math.max(PAUSE_MAX_MS, this.#retry_ms));
    return least_ms + Math.random() * most;
  }

  // The network is back: whoever pauses goes on.
  #hurry() {
    if (this.#state !== CONNECTING || !this.#link?.stopped) return;
    clearTimeout(this.#timer);
    this.#connect(this.#candidates()[0]);
  }

  // --- something better, now and then ---

  #better() {
    const names = this.#candidates();
    return names.slice(0, Math.max(0, names.indexOf(this.#link.name)));
  }

  #planUpgrade(ms = this.#upgrade_ms * (0.75 + Math.random() / 2)) {
    clearTimeout(this.#upgradeTimer);
    if (this.#better().length > 0)
      this.#upgradeTimer = after(ms, () => this.#try(this.#better()[0]));
  }

  // The one in use goes on until the better one has opened.
  #try(name) {
    if (name === undefined) return;
    this.#trial = this.#make(name);
    this.#trial.start();
  }

  #trialFailed(link, { verdict, details }) {
    const better = this.#better();
    const next = better[better.indexOf(link.name) + 1];
    this.#trial = null;
    if (verdict === 'refused') this.#refuse(link.name, details.serves);
    if (next !== undefined && !this.#refused.has(next)) return this.#try(next);
    this.#upgrade_ms = Math.min(this.#upgrade_ms * 2, UPGRADE_MAX_MS);
    this.#planUpgrade();
  }

  // --- events ---

  #dispatch({ type, data, channel }, lastEventId) {
    const event = new MessageEvent(type,
      { data, lastEventId, origin: this.#url.origin });
    if (channel !== undefined) event.channel = channel;
    this.dispatchEvent(event);
  }

  #tell(type, members = {}) {
    this.dispatchEvent(Object.assign(new Event(type), members));
  }

  static {
    for (const type of HANDLERS)
      Object.defineProperty(this.prototype, `on${type}`, {
        configurable: true,
        enumerable: true,
        get() { return this.#handlers[type] ?? null; },
        set(handler) {
          this.removeEventListener(type, this.#handlers[type] ?? null);
          this.#handlers[type] = typeof handler === 'function' ? handler : null;
          this.addEventListener(type, this.#handlers[type]);
        },
      });
  }
}

export default Penstock;

// A page that has only <script type="module" src="/penstock.js"> finds it here.
if (globalThis.document) globalThis.Penstock ??= Penstock;
