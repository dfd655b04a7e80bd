// race.js - one channel by all four transports at once, and each message as it
// lands: the same id on every one, so it can be followed across them.
import { colour, faded } from './chart.js';
import { NAMES, TRANSPORTS, bytes, count, h, ms, put } from './format.js';
import { ask, authorization, subprotocols } from './live.js';
import { Penstock } from './penstock.js';
import { WebRtcLink, signalRoute } from './webrtc.js';

const LANE = 72, FOOT = 18;   // pixels
const DOTS_MAX = 300;         // messages that are drawn
const KEPT = 2000;            // messages that are remembered
const SAMPLES = 500;          // of which medians are taken
const PULSE_MS = 600;
const POLL_S = [0.5, 1, 2, 5, 10];
const now = () => performance.timeOrigin + performance.now();

function median(list) {
  if (list.length === 0) return null;
  const sorted = Float64Array.from(list).sort();
  return sorted[sorted.length >> 1];
}

// --- what a browser sees of the wire ---------------------------------------------

const frameOctets = n => n + (n < 126 ? 2 : n < 65536 ? 4 : 10);
const octetsOf = text => new TextEncoder().encode(text).length;

// A WebSocket that counts, and learns when messages were born.
const countingSocket = (lane, race) => class extends WebSocket {
  constructor(url, protocols) {
    super(url, [...protocols, ...subprotocols()]);
    lane.requests++;
    this.addEventListener('message', ({ data }) => {
      lane.octets += frameOctets(octetsOf(data));
      const id = /"id":"([^"]+)"/.exec(data.slice(0, 100))?.[1];
      const time = /"time":"([^"]+)"/.exec(data.slice(0, 400))?.[1];
      if (id && time) race.born(id, time);
    });
  }
};

// fetch() that does: of a stream piece by piece, of a batch as a whole.
const countingFetch = (lane, race) => async (url, options) => {
  const answer = await fetch(url, options);
  const counted = {
    status: answer.status, statusText: answer.statusText, headers: answer.headers,
    async text() {
      const text = await answer.text();
      lane.octets += octetsOf(text);
      for (const [, id, time] of text.matchAll(/\{"id":"([^"]+)"(?:,"event":"[^"]*")?,"time":"([^"]+)"/g))
        race.born(id, time);
      return text;
    },
    body: answer.body && { getReader() {
      const reader = answer.body.getReader();
      return { async read() {
        const piece = await reader.read();
        if (piece.value) lane.octets += piece.value.byteLength;
        return piece;
      } };
    } },
  };
  lane.requests++;
  if (answer.status === 204 || answer.status === 304) lane.empty++;
  return counted;
};

// --- a lane -------------------------------------------------------------------------

class Lane {
  messages = 0; first = 0; gaps = 0; requests = 0; empty = 0; octets = 0;
  behinds = []; ages = []; client = null;

  constructor(name) {
    this.name = name;
    this.state = h('small', {}, 'waiting');
    this.age = h('b', {}, '–');
    this.element = h('div', { class: `lane ${name}` },
      h('span', {}, h('i'), NAMES[name]), this.age, this.state);
    this.cells = Array.from({ length: 8 }, () => h('td'));
    this.row = h('tr', { class: name },
      h('th', { scope: 'row' }, h('span', {}, NAMES[name])), ...this.cells);
  }

  open(race, channel, poll_ms) {
    this.close();
    put(this.state, 'connecting');
    this.client = new Penstock(`/race/${this.name}/${channel}`, {
      transports: [this.name], since: 'now', headers: authorization(),
      pollInterval: poll_ms, fetch: countingFetch(this, race),
      WebSocket: countingSocket(this, race),
    });
    this.client.onopen = () => put(this.state,
      this.name === 'poll' ? `every ${ms(poll_ms)}` : 'open');
    this.client.onerror = e => put(this.state, e.message);
    this.client.ongap = () => { this.gaps++; };
    this.client.onmessage = e => race.landed(this, e.lastEventId, now(), e.data);
    // Types other than "message" are events of their own names.
    const dispatch = this.client.dispatchEvent.bind(this.client);
    this.client.dispatchEvent = event => {
      if (event instanceof MessageEvent && event.type !== 'message')
        race.landed(this, event.lastEventId, now(), event.data);
      return dispatch(event);
    };
  }

  close() {
    this.client?.close();
    this.client = null;
  }

  sample(list, value) {
    if (list.length === SAMPLES) list.shift();
    list.push(value);
  }

  show() {
    const n = this.messages, age = median(this.ages), behind = median(this.behinds);
    put(this.age, age === null ? '–' : ms(Math.max(0, Math.round(age * 10) / 10)));
    [count(n), age === null ? '–' : ms(Math.max(0, age)),
      behind === null ? '–' : behind < 0.05 ? 'none' : `+${ms(behind)}`,
      count(this.first), this.name === 'webrtc' ? '–' : count(this.requests),
      this.name === 'webrtc' ? '–' : count(this.empty),
      n === 0 ? '–' : bytes(this.octets / n), count(this.gaps),
    ].forEach((text, i) => put(this.cells[i], text));
  }
}

// --- the race ------------------------------------------------------------------------

export class RaceView {
  #messages = new Map();    // by id: {born, first, arrivals}
  #waiting = new Map();     // ages that lack the time of birth, by id
  #frame = 0; #timer; #closed = false; #canvas; #lanes = []; #poll_ms;
  #still = matchMedia('(prefers-reduced-motion: reduce)').matches;

  constructor(place, live, route) {
    this.live = live;
    this.route = route;
    this.key = route.key;
    const { said } = route;
    this.#poll_ms = Number(localStorage.getItem('penstock.poll')) || 1000;
    this.channel = h('input', { id: 'race-channel', list: 'race-channels',
      'aria-label': 'Channel', spellcheck: 'false', autocomplete: 'off',
      placeholder: said.channel ?? 'a channel' });
    this.list = h('datalist', { id: 'race-channels' });
    const poll = h('select', { 'aria-label': 'Poll every', onchange: () => this.#setPoll(Number(poll.value)) },
      ...POLL_S.map(s => h('option', { value: s * 1000, selected: s * 1000 === this.#poll_ms },
        `poll every ${ms(s * 1000)}`)));
    this.say = h('button', { type: 'button', class: 'quiet', id: 'race-publish',
      title: 'It goes to all readers of the channel', onclick: () => this.#publish() }, 'Publish a message');
    this.say.hidden = said.source !== 'publish';
    this.note = h('p', { class: 'faint', id: 'race-note', role: 'status' });
    this.last = h('output', { class: 'last' });
    this.#canvas = h('canvas', { role: 'img', 'aria-label':
      'Each message as a line from its birth at the top across the transports, with a dot where each has brought it; the table below has the same in numbers' });
    this.left = h('div', { class: 'lanes' }, h('div', { class: 'lane born' },
      h('span', {}, 'born'), h('small', {}, 'in penstock')));
    this.body = h('tbody');
    place.replaceChildren(
      h('div', { class: 'row head' },
        h('a', { class: 'back', href: `#/route/${encodeURIComponent(route.key)}` }, '← the route'),
        h('h1', { class: 'anywhere', tabindex: '-1' }, `Race on ${said.host ?? ''}${said.path}`)),
      h('form', { class: 'row', onsubmit: event => {
        event.preventDefault();
        this.#start(this.channel.value.trim());
      } }, h('label', { for: 'race-channel' }, 'Channel'), this.channel, this.list,
      h('button', {}, 'Race'), poll, this.say),
      this.note,
      h('div', { class: 'card track' }, this.left, h('div', { class: 'field' }, this.#canvas)),
      this.last,
      h('section', { class: 'card' }, h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'In numbers' },
        h('table', {}, h('thead', {}, h('tr', {}, ...[['Transport'], ['Messages'],
          ['Age', 'Median, from its arrival in penstock to its being in this page’s hands'],
          ['Behind the first', 'Median: how much later than whichever transport had it first'],
          ['Was first'], ['Requests'], ['Empty', 'Answers without a message'],
          ['Octets / message', 'Bodies and frames as a page sees them: heads and TLS come on top, and stand in the route’s own figures'],
          ['Gaps']].map(([t, hint]) => h('th', { scope: 'col', title: hint ?? null }, t)))), this.body)),
      h('p', { class: 'faint' }, 'Spectators: these readers are not counted in the route’s figures. They stand here in this page, and so does its clock.')));
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.#canvas.parentElement);
    this.#propose();
    this.#timer = setInterval(() => this.#show(), 250);
  }

  // The channels that there are now of this route.
  async #propose() {
    const template = this.route.said.channel ?? '';
    if (template && !template.includes('{')) {
      this.channel.value = template;
      this.#start(template);
      return;
    }
    const shape = new RegExp(`^${template.replace(/[.*+?^$()|[\]\\]/g, '\\$&')
      .replace(/\{[^}]*\}/g, '[^/]+')}$`);
    const answer = await ask('/channels').catch(() => null);
    const { channels = [] } = answer?.ok ? await answer.json() : {};
    const names = channels.filter(c => !template || shape.test(c.name))
      .sort((a, b) => b.readers - a.readers).map(c => c.name);
    this.list.append(...names.slice(0, 200).map(value => h('option', { value })));
    if (this.#closed) return;
    if (names.length === 0) {
      put(this.note, `The route’s channels are called ${template}: name one.`);
      this.channel.focus();
    } else {
      this.channel.value = names[0];
      this.#start(names[0]);
    }
  }

  #start(channel) {
    if (!channel || this.#closed) return;
    this.#stop();
    this.name = channel;
    this.#messages.clear();
    this.#waiting.clear();
    this.#lanes = TRANSPORTS.map(t => new Lane(t));
    for (const lane of this.#lanes) lane.open(this, channel, this.#poll_ms);
    const signal = signalRoute(this.live.order);
    if (signal && globalThis.RTCPeerConnection) this.#addWebRtc(signal);
    this.left.replaceChildren(this.left.firstChild, ...this.#lanes.map(l => l.element));
    this.body.replaceChildren(...this.#lanes.map(l => l.row));
    put(this.note, this.say.hidden ? `Reading ${channel} by all at once, from now on.`
      : `Reading ${channel} by all at once, from now on. If it is quiet, publish something.`);
    this.#resize();
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #addWebRtc(signal) {
    const lane = new Lane('webrtc');
    lane.element.title = 'What the WebSocket has brought goes on from one peer to another';
    this.#lanes.splice(-1, 0, lane); // polls, the slowest, stand last
    this.webrtc = new WebRtcLink(signal, {
      state: text => put(lane.state, text),
      message: (id, octets) => {
        lane.octets += octets;
        this.landed(lane, id, now());
      },
    });
  }

  #stop() {
    cancelAnimationFrame(this.#frame);
    for (const lane of this.#lanes) lane.close();
    this.webrtc?.close();
    this.webrtc = null;
  }

  #setPoll(poll_ms) {
    this.#poll_ms = poll_ms;
    localStorage.setItem('penstock.poll', poll_ms);
    const lane = this.#lanes.find(l => l.name === 'poll');
    if (lane) lane.open(this, this.name, poll_ms);
  }

  async #publish() {
    const answer = await ask(`/channels/${this.name}`, { method: 'POST',
      body: `hello at ${new Date().toISOString()}`,
      headers: { 'Content-Type': 'text/plain' } });
    if (!answer.ok)
      put(this.note, (await answer.json().catch(() => ({}))).detail ?? `status ${answer.status}`);
  }

  // --- messages ---

  #of(id) {
    let m = this.#messages.get(id);
    if (!m) {
      this.#messages.set(id, m = { born: null, first: null, arrivals: {} });
      if (this.#messages.size > KEPT)
        this.#messages.delete(this.#messages.keys().next().value);
    }
    return m;
  }

  // This page's clock and penstock's may differ; by less than a second nobody
  // can tell that from the way here.
  #local(time) {
    const ahead = this.live.ahead_ms;
    return Date.parse(time) + (Math.abs(ahead) > 1000 ? ahead : 0);
  }

  born(id, time) {
    const m = this.#of(id);
    if (m.born !== null) return;
    m.born = this.#local(time);
    for (const [lane, at] of this.#waiting.get(id) ?? []) lane.sample(lane.ages, at - m.born);
    this.#waiting.delete(id);
  }

  landed(lane, id, at, data) {
    const m = this.#of(id);
    if (lane.name in m.arrivals) return;
    if (m.first === null) {
      m.first = at;
      lane.first++;
    }
    m.arrivals[lane.name] = at;
    lane.messages++;
    lane.sample(lane.behinds, at - m.first);
    if (m.born !== null) lane.sample(lane.ages, at - m.born);
    else if (this.#waiting.size < KEPT)
      this.#waiting.set(id, [...this.#waiting.get(id) ?? [], [lane, at]]);
    if (lane.name === 'websocket') {
      this.webrtc?.send(id, data);
      this.text = data;
    }
  }

  // --- what is seen ---

  #show() {
    for (const lane of this.#lanes) lane.show();
    if (this.text !== undefined) put(this.last, this.text.slice(0, 200));
  }

  #resize() {
    const width = this.#canvas.parentElement.clientWidth;
    const height = (this.#lanes.length + 0.6) * LANE + FOOT;
    const dpr = devicePixelRatio;
    this.#canvas.width = width * dpr;
    this.#canvas.height = height * dpr;
    this.#canvas.style.height = `${height}px`;
    this.width = width;
  }

  restyle() { this.paints = null; }

  #paint() {
    this.paints ??= Object.fromEntries([...this.#lanes.map(l => l.name), 'line', 'faint', 'ink']
      .map(name => [name, { solid: colour(name), soft: faded(name, 0.35) }]));
    return this.paints;
  }

  #draw() {
    this.#frame = requestAnimationFrame(() => this.#draw());
    const c = this.#canvas.getContext('2d'), dpr = devicePixelRatio;
    const paints = this.#paint(), time = now(), width = this.width;
    const span = Math.max(6000, this.#poll_ms * 3);
    const x = t => width - 14 - (time - t) / span * (width - 14);
    const y = i => (i + 0.6 + 0.5) * LANE;
    c.setTransform(dpr, 0, 0, dpr, 0, 0);
    c.clearRect(0, 0, width, this.#canvas.height);
    this.#drawGround(c, paints, width, x, y, time, span);
    const seen = [...this.#messages.values()].filter(m =>
      time - (m.born ?? m.first ?? time) < span + 1000 && m.first !== null);
    const step = Math.ceil(seen.length / DOTS_MAX);
    for (let k = (seen.length - 1) % step; k < seen.length; k += step)
      this.#drawMessage(c, seen[k], paints, x, y, time);
  }

  #drawGround(c, paints, width, x, y, time, span) {
    c.lineWidth = 1;
    c.strokeStyle = paints.line.solid;
    c.fillStyle = paints.faint.solid;
    c.font = '11px system-ui, sans-serif';
    c.textAlign = 'center';
    const every = (width < 500 ? 2 : 1) * (span > 15000 ? 5000 : 1000);
    const foot = y(this.#lanes.length - 0.5);
    for (let ago = 0; ago < span; ago += every) {
      const at = x(time - ago);
      c.globalAlpha = 0.6;
      c.beginPath();
      c.moveTo(at, 0.3 * LANE);
      c.lineTo(at, foot);
      c.stroke();
      c.globalAlpha = 1;
      c.fillText(ago === 0 ? 'now' : `−${ago / 1000} s`, at, foot + 14);
    }
    this.#lanes.forEach((lane, i) => {
      c.strokeStyle = paints[lane.name].soft;
      c.lineWidth = 2;
      c.beginPath();
      c.moveTo(0, y(i));
      c.lineTo(width - 14, y(i));
      c.stroke();
    });
  }

  #drawMessage(c, m, paints, x, y, time) {
    const born = x(Math.min(m.born ?? m.first, m.first));
    c.lineWidth = 1.5;
    c.strokeStyle = paints.faint.soft;
    c.beginPath();
    c.moveTo(born, 0.3 * LANE);
    this.#lanes.forEach((lane, i) => {
      const at = m.arrivals[lane.name];
      if (at !== undefined) c.lineTo(x(at), y(i));
    });
    c.stroke();
    c.fillStyle = paints.ink.solid;
    c.fillRect(born - 1.5, 0.3 * LANE - 6, 3, 12);
    this.#lanes.forEach((lane, i) => {
      const at = m.arrivals[lane.name];
      if (at === undefined) return;
      const age = time - at;
      c.fillStyle = paints[lane.name].solid;
      c.beginPath();
      c.arc(x(at), y(i), 5, 0, 7);
      c.fill();
      if (this.#still || age >= PULSE_MS) return;
      c.globalAlpha = 1 - age / PULSE_MS;
      c.strokeStyle = paints[lane.name].solid;
      c.lineWidth = 2;
      c.beginPath();
      c.arc(x(at), y(i), 5 + age / PULSE_MS * 18, 0, 7);
      c.stroke();
      c.globalAlpha = 1;
    });
  }

  update() {}

  close() {
    this.#closed = true;
    this.#stop();
    clearInterval(this.#timer);
    this.observer.disconnect();
  }
}
