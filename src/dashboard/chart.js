// chart.js - lines over time: by uPlot where the program was built with it, and
// by a plainer hand where not; and the small ones that stand beside numbers.
import { KEPT_S } from './live.js';
import { NAMES, TRANSPORTS, bytes, count, svg } from './format.js';
import { soon } from './slices.js';

const HEIGHT = 168;
const OCTETS = Array.from({ length: 40 }, (_, i) => 2 ** i);
let uPlot = null, loading = null;

// When the first chart wants it, which is after the page has something to show.
async function load() {
  const sheet = Object.assign(document.createElement('link'),
    { rel: 'stylesheet', href: '/dashboard/uPlot.min.css' });
  const script = Object.assign(document.createElement('script'),
    { src: '/dashboard/uPlot.iife.min.js' });
  const loaded = element => new Promise((done, failed) => {
    element.onload = done;
    element.onerror = failed;
    document.head.append(element);
  });
  try {
    await Promise.all([loaded(sheet), loaded(script)]);
    uPlot = globalThis.uPlot;
  } catch { /* it was built without */ }
}

// What a custom property of the style sheet is now, as canvases want it.
const probe = document.createElement('i');
const known = new Map();
export function colour(name) {
  if (!known.has(name)) {
    if (!probe.isConnected) document.head.append(probe);
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  return known.get(name);
}
export const forgetColours = () => known.clear();
export const faded = (name, alpha) =>
  `color-mix(in srgb, ${colour(name)} ${alpha * 100}%, transparent)`;

// --- large ones -----------------------------------------------------------------

// Ticks at whole distances from now, which is where the lines end.
function backwards(u, axis, from, to, step) {
  const ticks = [];
  for (let t = to; t >= from; t -= step) ticks.unshift(t);
  return ticks;
}

// One line for each transport.  unit formats the numbers of its axis.
export class Chart {
  #place; #unit; #plot = null; #canvas = null; #data; #rows; #closed = false;

  constructor(place, unit = count) {
    this.#place = place;
    this.#unit = unit;
    place.classList.add('chart');
    (loading ??= load()).then(() => soon(() => this.#make()));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(place);
  }

  #make() {
    if (this.#closed) return;
    if (!uPlot) {
      this.#canvas = document.createElement('canvas');
      this.#place.append(this.#canvas);
    } else {
      this.#plot = new uPlot(this.#options(), this.#data ?? [[], [], [], [], []],
        this.#place);
      this.draw();
    }
    this.resize();
  }

  #options() {
    const axis = { stroke: () => colour('faint'), font: '12px system-ui, sans-serif',
      grid: { stroke: () => colour('line'), width: 1 }, ticks: { show: false } };
    return {
      width: Math.max(this.#place.clientWidth, 100), height: HEIGHT,
      legend: { show: false }, padding: [8, 18, 0, 0],
      cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
      scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, space: 80, size: 26, splits: backwards, values: (u, ticks) => ticks.map(t => {
          const s = Math.round((u.data[0].at(-1) ?? Date.now() / 1000) - t);
          return s <= 1 ? 'now' : s < 60 ? `−${s} s`
            : `−${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`;
        }), grid: { show: false } },
        { ...axis, size: 64, space: 34, ...(this.#unit === bytes && { incrs: OCTETS }),
          values: (u, ticks) => ticks.map(t => this.#unit(t)) },
      ],
      series: [{}, ...TRANSPORTS.map(t => ({
        label: NAMES[t], stroke: () => colour(t), width: 2,
        fill: () => faded(t, 0.1), points: { show: false } }))],
      hooks: { setCursor: [u => this.#point(u)] },
    };
  }

  // What the lines say where the pointer is.
  #point(u) {
    const i = u.cursor.idx;
    this.#place.title = i === null || i === undefined ? ''
      : TRANSPORTS.map((t, k) =>
        `${NAMES[t]}: ${this.#unit(u.data[k + 1][i] ?? 0)}`).join('\n');
  }

  // times: of seconds; lines: by transport.
  set(times, lines) {
    const from = times.findIndex(t => !Number.isNaN(t));
    const begin = from < 0 ? times.length : from;
    this.#rows = TRANSPORTS.map(t => lines[t].slice(begin)
      .map(v => Number.isNaN(v) ? null : v));
    this.#data = [times.slice(begin), ...this.#rows];
    this.draw();
  }

  draw() {
    if (!this.#data) return;
    if (this.#plot) {
      const last = this.#data[0].at(-1) ?? Date.now() / 1000;
      this.#plot.batch(() => {
        this.#plot.setData(this.#data, false);
        this.#plot.setScale('x', { min: last - Math.min(KEPT_S,
          Math.max(60, last - (this.#data[0][0] ?? last))), max: last });
      });
    } else if (this.#canvas) this.#drawPlain();
  }

  resize() {
    const width = this.#place.clientWidth;
    if (width === 0) return;
    if (this.#plot) {
      if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
    } else if (this.#canvas) {
      this.#canvas.width = width * devicePixelRatio;
      this.#canvas.height = HEIGHT * devicePixelRatio;
      this.draw();
    }
  }

  #drawPlain() {
    const { width, height } = this.#canvas, c = this.#canvas.getContext('2d');
    const most = Math.max(0, ...this.#rows.flat().filter(Number.isFinite)) || 1;
    const dpr = devicePixelRatio, span = Math.max(60, this.#rows[0].length - 1);
    c.clearRect(0, 0, width, height);
    c.font = `${12 * dpr}px system-ui, sans-serif`;
    c.fillStyle = colour('faint');
    c.fillText(this.#unit(most), 0, 14 * dpr);
    c.fillStyle = colour('line');
    c.fillRect(0, height - dpr, width, dpr);
    c.lineWidth = 2 * dpr;
    TRANSPORTS.forEach((t, k) => {
      c.strokeStyle = colour(t);
      c.beginPath();
      this.#rows[k].forEach((v, i, all) => c.lineTo(
        width - (all.length - 1 - i) / span * width,
        height - 2 * dpr - (v ?? 0) / most * (height - 24 * dpr)));
      c.stroke();
    });
  }

  close() {
    this.#closed = true;
    this.observer.disconnect();
    this.#plot?.destroy();
    this.#canvas?.remove();
  }
}

// --- small ones ------------------------------------------------------------------

const LEAST = 12; // of values: a young line does not fill its place

// An SVG of one line, 100 by 24 in its own units.
export class Spark {
  #line = svg('polyline'); #area = svg('polygon');
  constructor(name = 'spark') {
    this.element = svg('svg', { viewBox: '0 0 100 24', class: name,
      preserveAspectRatio: 'none', 'aria-hidden': 'true' }, this.#area, this.#line);
  }
  set(values) {
    const there = values.filter(v => !Number.isNaN(v));
    const most = Math.max(1e-9, ...there);
    const span = Math.max(there.length, LEAST) - 1;
    let points = '', first = null;
    there.forEach((v, i) => {
      const x = (100 - (there.length - 1 - i) / span * 100).toFixed(1);
      first ??= x;
      points += `${x},${(22 - v / most * 20).toFixed(1)} `;
    });
    this.#line.setAttribute('points', points);
    this.#area.setAttribute('points',
      first === null ? '' : `${first},24 ${points}100,24`);
  }
}

// How a whole is divided among the transports.
export class Stack {
  #parts = Object.fromEntries(TRANSPORTS.map(t => [t, document.createElement('i')]));
  element = document.createElement('span');
  constructor() {
    this.element.className = 'stack';
    for (const t of TRANSPORTS) {
      this.#parts[t].className = t;
      this.element.append(this.#parts[t]);
    }
  }
  set(shares) {
    for (const t of TRANSPORTS) {
      const grow = String(shares[t] ?? 0);
      if (this.#parts[t].style.flexGrow !== grow) this.#parts[t].style.flexGrow = grow;
    }
    this.element.title = TRANSPORTS.filter(t => shares[t])
      .map(t => `${NAMES[t]}: ${count(shares[t])}`).join('\n');
  }
}
