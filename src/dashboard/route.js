// route.js - one route in full: what each transport did, what is measured of its
// messages, and the advice with its prices.
import { Chart } from './chart.js';
import { NAMES, TRANSPORTS, burstiness, bytes, count, digits, duration, h, ms,
  put, rate, us } from './format.js';

// A table of text that is only touched where it changes.
class Grid {
  element; #rows = [];
  constructor(titles, name = '') {
    this.body = h('tbody');
    this.element = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name },
      h('table', {}, h('thead', {}, h('tr', {}, ...titles.map(([title, hint]) =>
        h('th', { scope: 'col', title: hint ?? null }, title)))), this.body));
  }
  // rows: [class, cell...] each.
  set(rows) {
    while (this.#rows.length > rows.length) this.#rows.pop().remove();
    rows.forEach(([name, ...cells], i) => {
      let tr = this.#rows[i];
      if (!tr) {
        tr = this.#rows[i] = h('tr', {}, ...cells.map((c, k) =>
          k === 0 ? h('th', { scope: 'row' }, h('span')) : h('td')));
        this.body.append(tr);
      }
      if (tr.className !== name) tr.className = name;
      cells.forEach((c, k) => put(k === 0 ? tr.cells[0].firstChild : tr.cells[k], String(c)));
    });
  }
}

const of = (a, n) => n > 0 ? a / n : null;

export class RouteView {
  constructor(place, live, route) {
    this.live = live;
    this.key = route.key;
    const { said } = route;
    this.facts = h('dl', { class: 'facts' });
    this.transports = new Grid([['Transport'], ['Readers'], ['Delivered'],
      ['Merged', 'Passed over for a newer one'], ['Skipped', 'Not got, and told of'],
      ['Gaps'], ['Requests'], ['Empty', 'Answers without a message'],
      ['Out / message', 'Octets at the socket for each message delivered, all framing included'],
      ['In / message', 'The same, from clients'],
      ['Age p50', 'Half were written to a reader sooner after they had come; over the last minute'],
      ['p99', 'All but one in a hundred were; over the last minute'],
      ['p99 ever', 'The same since the start'], ['max ever', 'The oldest since the start'],
      ['CPU / message', 'Processor time of a delivery, sampled'],
      ['Waited', 'How long readers waited for their full sockets']], 'What each transport did');
    this.nothing = h('p', { class: 'faint' }, 'Nothing yet: nobody has asked for it.');
    this.advice = h('section', { class: 'card advice', 'aria-label': 'Advice' });
    this.prices = new Grid([['Transport'], ['Octets/s'], ['Requests/s'], ['CPU/s'],
      ['Memory'], ['Age, mean'], ['p99'], ['Delivers'], ['Fits']], 'The price of each transport');
    this.verdict = h('p', { class: 'verdict' });
    this.why = h('ul', { class: 'why' });
    this.advice.append(h('h2', {}, 'Advice, and the price of each for one reader'), this.verdict, this.why, this.prices.element);
    const raceable = said.channel && !said.channel.includes('{connection}');
    const delivered = h('div'), sent = h('div');
    place.replaceChildren(
      h('div', { class: 'row head' },
        h('a', { class: 'back', href: '#/' }, '← all routes'),
        h('h1', { class: 'anywhere', tabindex: '-1' }, `${said.host ?? ''}${said.path}`),
        raceable ? h('a', { class: 'button', href: `#/race/${encodeURIComponent(route.key)}` }, 'Race the transports') : null),
      this.facts,
      h('div', { class: 'charts' },
        h('figure', { class: 'card' }, h('figcaption', {}, 'Delivered, messages a second'), delivered),
        h('figure', { class: 'card' }, h('figcaption', {}, 'Sent, octets a second with all framing'), sent)),
      h('section', { class: 'card' }, h('h2', {}, 'What each transport did'), this.nothing, this.transports.element),
      this.advice);
    this.delivered = new Chart(delivered);
    this.sent = new Chart(sent, bytes);
    this.update();
  }

  update() {
    const route = this.live.routes.get(this.key);
    if (!route) return;
    this.#facts(route);
    this.#draw(route);
    this.#transports(route);
    this.#advise(route);
  }

  #facts({ said }) {
    const u = said.updates ?? {}, per = u.per_s ?? {};
    const facts = [
      ['From', said.proxy ? `proxied to ${said.proxy}` : said.source ?? '–'],
      ['Serves', (said.transports ?? []).map(t => NAMES[t]).join(', ') || '–'],
      ['Channels', u.channels === undefined ? '–' : count(u.channels)],
      ['Updates', u.messages ? rate(per.minute) + (u.seconds > 3600 ? `, ${rate(per.hour)} over an hour` : '') +
        (u.seconds > 86400 ? `, ${rate(per.day)} over a day` : '') : 'none yet'],
      ['Size', u.messages ? `${bytes(u.bytes.mean)}, largest ${bytes(u.bytes.max)}${u.binary ? `, ${count(u.binary)} binary` : ''}` : '–'],
      ['They come', u.messages ? burstiness(u.burstiness) : '–'],
      ['Watched for', u.seconds === undefined ? '–' : duration(u.seconds)],
      ['Clients say', said.receive ? `into ${said.receive}` : 'nothing'],
    ];
    if (this.facts.childElementCount === 0)
      for (const [name] of facts)
        this.facts.append(h('div', {}, h('dt', {}, name), h('dd')));
    facts.forEach(([, text], i) => put(this.facts.children[i].lastChild, text));
  }

  #draw(route) {
    const times = this.live.times.list(), lines = what => Object.fromEntries(
      TRANSPORTS.map(t => [t, route.byTransport[t][what].list()]));
    this.delivered.set(times, lines('delivered'));
    this.sent.set(times, lines('bytes_out'));
  }

  #transports({ parts }) {
    const names = [...TRANSPORTS, 'proxy', 'other'].filter(t => parts[t]);
    this.nothing.hidden = names.length > 0;
    this.transports.element.hidden = names.length === 0;
    this.transports.set(names.map(t => {
      const p = parts[t], a = p.age_ms ?? {};
      return [t, NAMES[t], count(p.readers), count(p.delivered), count(p.merged),
        count(p.skipped), count(p.gaps), count(p.requests), count(p.empty),
        bytes(of(p.bytes_out, p.delivered)), bytes(of(p.bytes_in, p.delivered)),
        ms(a.lately?.p50), ms(a.lately?.p99), ms(a.p99), ms(a.max), us(p.cpu_us?.delivery),
        p.blocked_s ? duration(p.blocked_s) : '0'];
    }));
  }

  #advise({ advice, said }) {
    this.advice.hidden = !advice;
    if (!advice) return;
    const { verdict, runner_up, margin, confidence, prices = {} } = advice;
    const enough = advice.not_enough_data;
    const text = verdict
      ? `${NAMES[verdict]}${said.transports?.includes(verdict) ? ', which it serves' : ', which it does not serve'}`
      : typeof enough === 'string' ? enough : 'Not enough data yet';
    put(this.verdict, text);
    this.verdict.className = `verdict ${verdict ?? 'nothing'}`;
    const why = [...advice.why ?? []];
    if (runner_up) {
      const by = typeof margin === 'number' ? `, which costs ${digits(margin * 100)} % more` : '';
      why.push(`Next best: ${NAMES[runner_up]}${by}.`);
    }
    if (confidence !== undefined && confidence !== null)
      why.push(`Confidence: ${confidence}.`);
    const joined = why.join('\n');
    if (this.told !== joined) this.why.replaceChildren(...why.map(w => h('li', {}, w)));
    this.told = joined;
    this.prices.set(TRANSPORTS.filter(t => prices[t]).map(t => {
      const p = prices[t], a = p.age_ms ?? {};
      const name = [t, t === verdict ? 'best' : '', p.fits === false ? 'unfit' : ''].join(' ').trim();
      return [name, NAMES[t], bytes(p.bytes_per_s), count(p.requests_per_s),
        us(p.cpu_us_per_s), bytes(p.memory_bytes), ms(a.mean), ms(a.p99),
        p.delivers === 'latest' ? 'the latest' : 'every one',
        p.fits === false ? 'no' : 'yes'];
    }));
  }

  close() {
    this.delivered.close();
    this.sent.close();
  }
}
