// routes.js - the table of all routes.  A row is made in a slice of its own, and
// its cells when it is first in sight; only those are brought up to date.  With
// hundreds of routes a page that did more would stutter.
import { Spark, Stack } from './chart.js';
import { NAMES, TRANSPORTS, bytes, count, h, ms, put, rate, us } from './format.js';
import { soon } from './slices.js';

const SORTED_EVERY_MS = 5000;

const COLUMNS = [
  { id: 'path', title: 'Route', key: r => r.said.path },
  { id: 'updates', title: 'Updates', hint: 'How often a channel of it has something new, over the last minute',
    key: r => -(r.said.updates?.per_s?.minute ?? -1) },
  { id: 'readers', title: 'Readers', hint: 'Now, by transport', key: r => -r.readers },
  { id: 'delivered', title: 'Delivered', hint: 'Messages a second, to all readers', key: r => -(r.rate?.delivered ?? 0) },
  { id: 'age', title: 'Age', hint: 'From a message’s arrival to its being written to a reader, over the last minute (in grey: since the start, as there was none): half are faster than the first number, all but one in a hundred than the second. Without polls, which are as old as their readers like',
    key: r => -(r.age?.p99 ?? -1) },
  { id: 'bytes', title: 'Octets', hint: 'At the socket for each message delivered, over the last minute: heads, framing, heartbeats and empty answers included',
    key: r => -(r.bytes_per_delivery ?? -1) },
  { id: 'cpu', title: 'CPU', hint: 'Processor time for each message delivered, since the start', key: r => -(r.cpu_per_delivery ?? -1) },
  { id: 'gaps', title: 'Gaps · lag', hint: 'Readers that were told of a gap; messages passed over for a newer one',
    key: r => -(r.sums.gaps + r.sums.skipped) * 1e9 - r.sums.merged },
  { id: 'advice', title: 'Advice', hint: 'The cheapest transport that meets the route’s needs, as measured', key: r => r.advice?.verdict ?? '~' },
];

const servedOf = said => said.proxy ? [] : said.transports ?? [];

class Row {
  inSight = false; #full = false;
  constructor(route, open) {
    this.route = route;
    const { said } = route;
    this.path = h('a', { class: 'path', href: `#/route/${encodeURIComponent(route.key)}`, tabindex: '-1' },
      said.host ? h('span', { class: 'faint' }, said.host) : null, said.path);
    this.from = h('span', { class: 'from' });
    this.element = h('div', { role: 'row', class: 'r bare', tabindex: '0',
      onclick: event => { if (!event.target.closest('a')) open(this.route); } },
    this.#cell('path', this.path, this.from));
    this.element.row = this;
    this.describe();
  }

  #cell(id, ...children) {
    return h('span', { role: 'cell', class: `c-${id}`,
      'data-title': COLUMNS.find(c => c.id === id).title }, ...children);
  }

  // What stands beside the path.
  #fill() {
    this.#full = true;
    this.age50 = h('b'); this.age99 = h('span', { class: 'faint' });
    this.spark = new Spark(); this.flow = new Spark(); this.stack = new Stack();
    this.numbers = Object.fromEntries(
      ['updates', 'readers', 'delivered', 'bytes', 'cpu', 'gaps', 'lag'].map(n => [n, h('b')]));
    this.numbers.lag.className = 'faint';
    this.advice = h('span', { class: 'chip' });
    const n = this.numbers;
    this.element.append(
      this.#cell('updates', n.updates, this.spark.element),
      this.#cell('readers', n.readers, this.stack.element),
      this.#cell('delivered', n.delivered, this.flow.element),
      this.#cell('age', this.age50, this.age99),
      this.#cell('bytes', n.bytes), this.#cell('cpu', n.cpu),
      this.#cell('gaps', n.gaps, n.lag), this.#cell('advice', this.advice));
    this.element.classList.remove('bare');
  }

  get text() { return `${this.route.key} ${this.from.textContent}`.toLowerCase(); }

  describe() {
    const { said } = this.route;
    put(this.from, said.proxy ? `proxied to ${said.proxy}`
      : `${said.multiplex ? 'several channels' : said.source} → ${
        servedOf(said).map(t => NAMES[t]).join(', ')}`);
  }

  update = () => {
    if (!this.inSight) return;
    if (!this.#full) this.#fill();
    const { route, numbers: n } = this, { said } = route;
    this.describe();
    const per_s = said.updates?.per_s?.minute;
    put(n.updates, said.proxy ? '' : said.updates?.messages ? rate(per_s) : 'none yet');
    n.updates.classList.toggle('nothing', !said.updates?.messages);
    put(n.readers, said.proxy ? '' : count(route.readers));
    put(n.delivered, said.proxy ? `${count(route.rate?.requests ?? 0)} req/s`
      : route.rate ? `${count(route.rate.delivered)}/s` : '–');
    const age = route.age;
    put(this.age50, said.proxy ? '' : ms(age?.p50));
    put(this.age99, age ? ms(age.p99) : '');
    this.age50.classList.toggle('nothing', age !== null && !age.lately);
    put(n.bytes, said.proxy ? '' : bytes(route.bytes_per_delivery));
    put(n.cpu, said.proxy ? '' : us(route.cpu_per_delivery));
    const { gaps, merged, skipped } = route.sums;
    put(n.gaps, said.proxy ? '' : count(gaps));
    n.gaps.classList.toggle('bad', gaps > 0);
    put(n.lag, said.proxy ? '' : skipped > 0 ? `${count(skipped)} skipped`
      : merged > 0 ? `${count(merged)} merged` : '');
    this.spark.set(route.messages.list(60));
    this.flow.set(route.delivered.list(60));
    this.stack.set(Object.fromEntries(
      TRANSPORTS.map(t => [t, route.parts[t]?.readers ?? 0])));
    this.#advise();
  };

  #advise() {
    const { advice, said } = this.route, { verdict } = advice ?? {};
    const chip = this.advice;
    chip.hidden = !advice;
    if (!advice) return;
    put(chip, verdict ? NAMES[verdict] ?? verdict : 'not yet');
    chip.className = `chip ${verdict ?? 'nothing'}`;
    const serves = servedOf(said).includes(verdict);
    chip.title = !verdict ? 'There is not enough data yet'
      : serves ? 'It is served' : 'The route does not serve it';
    chip.classList.toggle('other', Boolean(verdict) && !serves);
  }
}

export class Routes {
  #rows = new Map(); #body; #heads; #sort = 'path'; #down = false; #arranged = 0;
  #missing = []; #filter = ''; #live; #sight;

  constructor(place, live, open) {
    this.#live = live;
    this.open = open;
    this.#heads = h('div', { role: 'row', class: 'r heads' }, ...COLUMNS.map(c =>
      h('span', { role: 'columnheader', class: `c-${c.id}`, 'aria-sort': 'none' },
        h('button', { title: c.hint, onclick: () => this.sortBy(c.id) }, c.title))));
    this.#body = h('div', { role: 'rowgroup', class: 'body' });
    place.append(h('div', { role: 'rowgroup' }, this.#heads), this.#body);
    this.#sight = new IntersectionObserver(seen => {
      for (const { target, isIntersecting } of seen) {
        target.row.inSight = isIntersecting;
        if (isIntersecting) soon(target.row.update);
      }
    }, { rootMargin: '400px' });
    this.#body.addEventListener('keydown', event => this.#key(event));
    this.#markSort();
  }

  update() {
    this.#missing = this.#sorted(
      this.#live.order.filter(r => !this.#rows.has(r.key)), r => r);
    if (this.#missing.length > 0) soon(this.#make);
    if (this.#rows.size + this.#missing.length > this.#live.order.length) this.#drop();
    for (const row of this.#rows.values()) {
      row.route = this.#live.routes.get(row.route.key) ?? row.route;
      row.update();
    }
    if (performance.now() - this.#arranged > SORTED_EVERY_MS) this.#arrange();
  }

  // One, and the rest later.
  #make = () => {
    const route = this.#missing.shift();
    if (!route) return;
    const row = new Row(route, this.open);
    this.#rows.set(route.key, row);
    this.#body.append(row.element);
    this.#sight.observe(row.element);
    this.#show(row);
    if (this.#missing.length > 0) soon(this.#make);
    else this.#arrange();
  };

  #drop() {
    const there = new Set(this.#live.order.map(r => r.key));
    for (const [key, row] of this.#rows) {
      if (there.has(key)) continue;
      this.#sight.unobserve(row.element);
      row.element.remove();
      this.#rows.delete(key);
    }
  }

  // --- order ---

  sortBy(id) {
    this.#down = this.#sort === id && !this.#down;
    this.#sort = id;
    this.#markSort();
    this.#arrange();
  }

  #markSort() {
    COLUMNS.forEach((c, i) => this.#heads.children[i].setAttribute('aria-sort',
      c.id !== this.#sort ? 'none' : this.#down ? 'descending' : 'ascending'));
  }

  // list in the order that is chosen, by the route that of() has of each.
  #sorted(list, of) {
    const key = COLUMNS.find(c => c.id === this.#sort).key;
    const sign = this.#down ? -1 : 1;
    const keyed = list.map(item => [key(of(item)), item]);
    keyed.sort(([a], [b]) => sign * (a < b ? -1 : a > b ? 1 : 0));
    return keyed.map(([, item]) => item);
  }

  // Rows stay where they are while somebody points at them.
  #arrange() {
    this.#arranged = performance.now();
    if (this.#body.matches(':hover, :focus-within') && this.#sort !== 'path') return;
    let after = null;
    for (const row of this.#sorted([...this.#rows.values()], r => r.route)) {
      const next = after ? after.nextSibling : this.#body.firstChild;
      if (next !== row.element) this.#body.insertBefore(row.element, next);
      after = row.element;
    }
  }

  // --- what is shown ---

  filter(text) {
    this.#filter = text.trim().toLowerCase();
    for (const row of this.#rows.values()) this.#show(row);
    return this.shown;
  }

  #show(row) {
    row.element.hidden = !this.#filter.split(/\s+/).every(w => row.text.includes(w));
  }

  get shown() {
    let n = 0;
    for (const row of this.#rows.values()) n += !row.element.hidden;
    return n;
  }

  // --- keys ---

  #key(event) {
    const row = event.target.closest('.r');
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    if (!row) return;
    if (step) {
      let next = row[step];
      while (next?.hidden) next = next[step];
      next?.focus();
      event.preventDefault();
    } else if (event.key === 'Enter') {
      this.open(row.row.route);
      event.preventDefault();
    }
  }

  focusFirst() {
    [...this.#body.children].find(r => !r.hidden)?.focus();
  }

  get focused() {
    return document.activeElement?.row?.route ?? null;
  }
}
