// live.js - what penstock says of itself, once a second, and what follows from
// two such documents: rates.  Also the token, where the listener wants one.
import { EventStreamParser } from './penstock.js';
import { TRANSPORTS } from './format.js';
import { nextTask } from './slices.js';

export const KEPT_S = 300;     // of what is drawn
const HIDDEN_MS = 20_000;      // a page that nobody sees costs nothing
const RETRY_MS = 1000, RETRY_MAX_MS = 10_000;
const SILENCE_MS = 10_000;

// --- the token ---------------------------------------------------------------

let token = sessionStorage.getItem('penstock.token') ?? '';

export const authorization = () =>
  token ? { Authorization: `Bearer ${token}` } : {};

// A WebSocket has no fields, but subprotocols.
export const subprotocols = () => !token ? [] : [`penstock.token.${
  [...new TextEncoder().encode(token)]
    .map(octet => octet.toString(16).padStart(2, '0')).join('')}`];

// Opens the dialog until the token is the right one.
function askToken() {
  const dialog = document.getElementById('token');
  const form = document.getElementById('token-form');
  document.getElementById('token-wrong').hidden = !token;
  if (!dialog.open) dialog.showModal();
  return new Promise(done => form.addEventListener('submit', event => {
    event.preventDefault();
    token = document.getElementById('token-text').value;
    sessionStorage.setItem('penstock.token', token);
    dialog.close();
    done();
  }, { once: true }));
}

// The answer to a request of this listener, or an error that says why not.
export async function ask(path, options = {}) {
  for (;;) {
    const answer = await fetch(path, { ...options,
      headers: { ...authorization(), ...options.headers } });
    if (answer.status !== 401) return answer;
    await (asking ??= askToken().finally(() => { asking = null; }));
  }
}
let asking = null;

// --- a second's worth ----------------------------------------------------------

export class Ring {
  #values = []; #size;      // it grows: most of a page's many are never full
  constructor(size = KEPT_S) { this.#size = size; }
  push(value) {
    if (this.#values.length === this.#size) this.#values.shift();
    this.#values.push(value);
  }
  get last() { return this.#values.at(-1) ?? NaN; }
  // Of the last n, or as many as there are.
  sum(n) {
    let sum = 0;
    for (let i = Math.max(0, this.#values.length - n); i < this.#values.length; i++)
      sum += this.#values[i];
    return sum;
  }
  // Oldest first, the last n; NaN where there is none yet.
  list(n = this.#size) {
    const there = this.#values.slice(-n);
    return there.length === n ? there
      : [...new Array(n - there.length).fill(NaN), ...there];
  }
}

const COUNTS = ['delivered', 'merged', 'skipped', 'gaps', 'requests', 'empty',
  'bytes_in', 'bytes_out', 'blocked_s', 'connects'];

const sumOf = (parts, name) => {
  let sum = 0;
  for (const part of Object.values(parts)) sum += part[name] ?? 0;
  return sum;
};

const WAITING = TRANSPORTS.filter(t => t !== 'poll');
const LATELY = age => age?.lately, EVER = age => age;

// One route: the newest figures, the rates of the last second, and some history.
class Route {
  rates = {};       // by transport, {delivered, bytes_out, ...} a second
  delivered = new Ring();
  messages = new Ring(120);
  byTransport = Object.fromEntries(TRANSPORTS.map(t =>
    [t, { delivered: new Ring(), bytes_out: new Ring() }]));
  updates_s = 0;

  constructor(key) { this.key = key; }

  take(said, seconds) {
    const was = this.said;
    this.said = said;
    this.parts = said.measured ?? {};
    this.readers = TRANSPORTS.reduce(
      (n, t) => n + (this.parts[t]?.readers ?? 0), 0);
    this.sums = Object.fromEntries(
      COUNTS.map(name => [name, sumOf(this.parts, name)]));
    if (was && seconds > 0) this.#derive(was, seconds);
  }

  #derive(was, seconds) {
    const before = was.measured ?? {};
    this.updates_s = Math.max(0, ((this.said.updates?.messages ?? 0) -
      (was.updates?.messages ?? 0)) / seconds);
    this.messages.push(this.updates_s);
    this.rates = {};
    for (const [name, part] of Object.entries(this.parts)) {
      const old = before[name] ?? {};
      this.rates[name] = Object.fromEntries(COUNTS.map(c =>
        [c, Math.max(0, (part[c] ?? 0) - (old[c] ?? 0)) / seconds]));
    }
    this.rate = Object.fromEntries(
      COUNTS.map(name => [name, sumOf(this.rates, name)]));
    this.delivered.push(this.rate.delivered);
    for (const t of TRANSPORTS) {
      this.byTransport[t].delivered.push(this.rates[t]?.delivered ?? 0);
      this.byTransport[t].bytes_out.push(this.rates[t]?.bytes_out ?? 0);
    }
  }

  // Of the last minute, or where that had nothing since the start.  Over the
  // transports that wait for news, each weighed with what it delivered; what is
  // polled is as old as its readers like it.
  get age() {
    return this.#age(WAITING, LATELY) ?? this.#age(['poll'], LATELY) ??
      this.#age(WAITING, EVER) ?? this.#age(['poll'], EVER);
  }

  #age(names, of) {
    let p50 = 0, p99 = 0, n = 0;
    for (const name of names) {
      const a = of(this.parts[name]?.age_ms);
      if (!a?.count) continue;
      n += a.count;
      p50 += a.p50 * a.count;
      p99 = Math.max(p99, a.p99);
    }
    return n === 0 ? null : { p50: p50 / n, p99, lately: of !== EVER };
  }

  // Of the last minute; where that had none, since the start.
  get bytes_per_delivery() {
    let sent = 0, delivered = 0;
    for (const t of TRANSPORTS) {
      sent += this.byTransport[t].bytes_out.sum(60);
      delivered += this.byTransport[t].delivered.sum(60);
    }
    if (delivered > 0) return sent / delivered;
    sent = 0;
    for (const t of TRANSPORTS) {
      sent += this.parts[t]?.bytes_out ?? 0;
      delivered += this.parts[t]?.delivered ?? 0;
    }
    return delivered === 0 ? null : sent / delivered;
  }

  get cpu_per_delivery() {
    let us = 0, n = 0;
    for (const t of TRANSPORTS) {
      const part = this.parts[t], cost = part?.cpu_us?.delivery;
      if (typeof cost !== 'number' || !part.delivered) continue;
      us += cost * part.delivered;
      n += part.delivered;
    }
    return n === 0 ? null : us / n;
  }
}

// --- the whole -----------------------------------------------------------------

// Tells "document" when there is a new one, "state" when it comes or goes.
export class Live extends EventTarget {
  routes = new Map();      // by host and path
  order = [];              // of those in the newest document
  times = new Ring();      // seconds since 1970
  totals = { cpu: new Ring(), memory: new Ring(), readers: new Ring(),
    delivered: new Ring(), bytes_out: new Ring(), age: new Ring() };
  byTransport = Object.fromEntries(TRANSPORTS.map(t =>
    [t, { delivered: new Ring(), bytes_out: new Ring(), readers: 0 }]));
  state = 'connecting';
  ahead_ms = Infinity;     // this clock of penstock's, at the most
  #abort; #hidden; #silence; #pause = RETRY_MS;

  start() {
    this.#follow();
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.#hidden);
      if (document.hidden)
        this.#hidden = setTimeout(() => this.#abort?.abort(), HIDDEN_MS);
      else if (!this.#abort) this.#follow();
    });
  }

  async #follow() {
    this.#abort = new AbortController();
    while (!document.hidden) {
      try {
        await this.#read();
      } catch { /* the state says it */ }
      if (this.#abort.signal.aborted && document.hidden) break;
      this.#tell('lost');
      await new Promise(done => setTimeout(done, this.#pause));
      this.#pause = Math.min(this.#pause * 2, RETRY_MAX_MS);
      this.#abort = new AbortController();
    }
    this.#abort = null;
    this.#tell('paused');
  }

  async #read() {
    const { signal } = this.#abort;
    const answer = await ask('/live', { cache: 'no-store',
      headers: { Accept: 'text/event-stream' }, signal });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const decoder = new TextDecoder(), reader = answer.body.getReader();
    const parser = new EventStreamParser(({ data }) => {
      if (data !== undefined) this.#receive(data, signal);
    });
    try {
      for (;;) {
        clearTimeout(this.#silence);
        this.#silence = setTimeout(() => this.#abort.abort(), SILENCE_MS);
        const { done, value } = await reader.read();
        if (done) return;
        parser.push(decoder.decode(value, { stream: true }));
      }
    } finally {
      clearTimeout(this.#silence);
    }
  }

  #tell(state) {
    this.state = state;
    this.dispatchEvent(new Event('state'));
  }

  // With hundreds of routes each step is long enough for a task of its own.
  async #receive(text, signal) {
    await nextTask();
    const said = JSON.parse(text);
    await nextTask();
    if (!signal.aborted) this.#take(said);
  }

  #take(said) {
    const was = this.said;
    // A restart counts from zero.
    const again = was && said.uptime_s < was.uptime_s;
    const seconds = was && !again ? said.uptime_s - was.uptime_s : 0;
    if (was && seconds > 0 && seconds < 0.2) return; // another page's first one
    if (again) this.routes.clear();
    this.said = said;
    this.ahead_ms = Math.min(this.ahead_ms, Date.now() - Date.parse(said.now));
    this.order = said.routes.map(r => {
      const key = `${r.host ?? ''} ${r.path}`;
      let route = this.routes.get(key);
      if (!route) this.routes.set(key, route = new Route(key));
      route.take(r, seconds);
      return route;
    });
    if (seconds > 0) this.#sum(was, seconds);
    this.#pause = RETRY_MS;
    this.#tell('live');
    this.dispatchEvent(new Event('document'));
  }

  #sum(was, seconds) {
    const { totals, said } = this;
    let sent = 0, worst = NaN;
    this.times.push(Date.parse(said.now) / 1000);
    for (const t of TRANSPORTS) this.#sumTransport(t);
    for (const route of this.order) {
      sent += route.rate?.bytes_out ?? 0;
      const age = route.age;
      if (age?.lately && !(age.p99 <= worst)) worst = age.p99;
    }
    totals.readers.push(TRANSPORTS.reduce(
      (n, t) => n + this.byTransport[t].readers, 0));
    totals.delivered.push(TRANSPORTS.reduce(
      (n, t) => n + this.byTransport[t].delivered.last, 0));
    totals.bytes_out.push(sent);
    totals.cpu.push((said.cpu_s - was.cpu_s) / seconds * 100);
    totals.memory.push(said.memory_bytes);
    totals.age.push(worst);
  }

  #sumTransport(t) {
    const sum = this.byTransport[t];
    let delivered = 0, sent = 0;
    sum.readers = 0;
    for (const route of this.order) {
      sum.readers += route.parts[t]?.readers ?? 0;
      delivered += route.rates[t]?.delivered ?? 0;
      sent += route.rates[t]?.bytes_out ?? 0;
    }
    sum.delivered.push(delivered);
    sum.bytes_out.push(sent);
  }
}
