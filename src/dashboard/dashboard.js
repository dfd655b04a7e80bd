// dashboard.js - the page: which view is shown, what stands above them all, and
// the keys.
import { Chart, Spark, forgetColours } from './chart.js';
import { NAMES, TRANSPORTS, bytes, count, digits, duration, h, ms, put } from './format.js';
import { Live, ask } from './live.js';
import { Routes } from './routes.js';
import { nextTask, soon } from './slices.js';

// The browser ends its loading with a layout, in the task that has begun this.
await nextTask();

const $ = id => document.getElementById(id);
const ADVICE_MS = 15_000, ADVISED_AFTER_MS = 500;
const live = new Live();

// --- light and dark ------------------------------------------------------------

const THEMES = { auto: '◐ auto', light: '☀ light', dark: '☾ dark' };
let theme = localStorage.getItem('penstock.theme') ?? 'auto';

function applyTheme() {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  put($('theme'), THEMES[theme] ?? THEMES.auto);
  forgetColours();
  for (const chart of Object.values(charts)) chart.draw();
  view?.restyle?.();
}

function nextTheme() {
  const names = Object.keys(THEMES);
  theme = names[(names.indexOf(theme) + 1) % names.length];
  localStorage.setItem('penstock.theme', theme);
  applyTheme();
}

// --- above all -------------------------------------------------------------------

const TILES = {
  readers: { title: 'Readers', text: t => count(t.readers.last) },
  delivered: { title: 'Delivered', text: t => `${count(t.delivered.last)}/s` },
  bytes_out: { title: 'Sent', text: t => `${bytes(t.bytes_out.last)}/s` },
  age: { title: 'Age, p99', text: t => ms(t.age.last),
    hint: 'From arrival to being written to a reader, over the last minute, on the route where it is the largest; without polls' },
  cpu: { title: 'CPU', text: t => `${digits(Math.round(t.cpu.last * 10) / 10)} %`,
    hint: 'Of one core' },
  memory: { title: 'Memory', text: t => bytes(t.memory.last) },
};

for (const [name, tile] of Object.entries(TILES)) {
  tile.number = h('b', {}, '–');
  tile.note = h('small');
  tile.spark = new Spark();
  tile.more = name === 'readers' ? null : tile.spark.element;
  $('tiles').append(h('div', { class: `tile t-${name}`, title: tile.hint ?? null },
    h('span', {}, tile.title), tile.number, tile.note, tile.spark.element));
}
for (const t of TRANSPORTS)
  $('legend').append(h('li', { class: t }, h('i'), NAMES[t], ' ', h('b')));

let charts = {};
function makeCharts() {
  charts = {
    delivered: new Chart($('chart-delivered')),
    bytes_out: new Chart($('chart-sent'), bytes),
  };
  showCharts();
}

function showTiles() {
  const { totals, byTransport } = live;
  for (const [name, tile] of Object.entries(TILES)) {
    put(tile.number, Number.isNaN(totals[name].last) ? '–' : tile.text(totals));
    tile.spark.set(totals[name].list(120));
  }
  [...$('legend').children].forEach((li, i) =>
    put(li.lastChild, count(byTransport[TRANSPORTS[i]].readers)));
}

function showCharts() {
  const times = live.times.list();
  for (const [what, chart] of Object.entries(charts))
    chart.set(times, Object.fromEntries(
      TRANSPORTS.map(t => [t, live.byTransport[t][what].list()])));
}

const STATES = { live: 'live', lost: 'no answer, trying again',
  paused: 'paused', connecting: 'connecting' };
live.addEventListener('state', () => {
  put($('state').lastChild, STATES[live.state]);
  $('state').className = `state ${live.state}`;
});

await nextTask();

// --- the views --------------------------------------------------------------------

const routes = new Routes($('table'), live, open);
let view = null, shown = 'overview';

function open(route) {
  location.hash = `#/route/${encodeURIComponent(route.key)}`;
}

// #/  #/route/KEY  #/race/KEY
function whereTo() {
  const [, name, key] = /^#\/(route|race)\/(.+)$/.exec(location.hash) ?? [];
  const route = name && live.routes.get(decodeURIComponent(key));
  return route ? { name, route } : { name: 'overview' };
}

// What is not needed at once is not loaded at once.
const VIEWS = {
  route: async () => (await import('./route.js')).RouteView,
  race: async () => (await import('./race.js')).RaceView,
};

async function navigate() {
  const { name, route } = whereTo();
  if (view && view.key === route?.key && shown === name) return;
  view?.close();
  view = null;
  for (const id of ['overview', 'route', 'race']) $(id).hidden = id !== name;
  shown = name;
  document.title = route ? `${route.said.path} · penstock` : 'penstock';
  if (name === 'overview') return update();
  const View = await VIEWS[name]().catch(() => null); // the next document asks again
  if (!View || view || whereTo().name !== name || whereTo().route !== route) return;
  view = new View($(name), live, route);
  scrollTo(0, 0);
  document.querySelector(`#${name} h1`)?.focus({ preventScroll: true });
}

function update() {
  if (shown === 'overview') {
    soon(showTiles);
    soon(showRoutes);
    soon(showCharts);
  } else {
    soon(showView);
  }
}

function showView() { view?.update(); }

function showRoutes() {
  routes.update();
  countRoutes();
}

function countRoutes() {
  const all = live.order.length, some = routes.shown;
  put($('count'), some < all && $('filter').value ? `${some} of ${all}` : String(all));
  $('empty').hidden = all > 0 && (some > 0 || !$('filter').value);
  put($('empty'), all > 0 ? 'No route has that in its path, source or transports.'
    : 'No routes: the config file has none.');
}

live.addEventListener('document', () => {
  const { said } = live;
  put($('about'), `${said.version} · up ${duration(said.uptime_s)} · ${
    said.workers} ${said.workers === 1 ? 'worker' : 'workers'} · ${
    count(said.clients)} ${said.clients === 1 ? 'connection' : 'connections'}`);
  if (shown !== whereTo().name || (shown !== 'overview' && !view)) navigate();
  update();
});

// --- advice ------------------------------------------------------------------------

async function advise() {
  if (!document.hidden && live.state === 'live') {
    const answer = await ask('/advice').catch(() => null);
    const said = answer?.ok ? await answer.json().catch(() => null) : null;
    for (const a of said?.routes ?? []) {
      const route = live.routes.get(`${a.host ?? ''} ${a.path}`);
      if (route) route.advice = a;
    }
    document.body.classList.toggle('advised', Boolean(said));
  }
  setTimeout(advise, ADVICE_MS);
}

// --- keys ----------------------------------------------------------------------------

function onKey(event) {
  const typing = event.target.matches?.('input, select, textarea');
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape' && !document.querySelector('dialog[open]')) {
    if (typing && event.target.value && event.target.id === 'filter') return;
    if (typing) event.target.blur();
    else if (shown !== 'overview') location.hash = '#/';
    return;
  }
  if (typing) {
    if (event.key === 'ArrowDown' && event.target.id === 'filter') routes.focusFirst();
    return;
  }
  if (event.key === '/' && shown === 'overview') {
    $('filter').focus();
    event.preventDefault();
  } else if (event.key === 'ArrowDown' && shown === 'overview' && !routes.focused) {
    routes.focusFirst();
    event.preventDefault();
  } else if (event.key === 't') nextTheme();
  else if (event.key === '?') $('keys').showModal();
  else if (event.key === 'r') {
    const key = view?.key ?? routes.focused?.key;
    if (key) location.hash = `#/race/${encodeURIComponent(key)}`;
  }
}

$('theme').onclick = nextTheme;
$('help').onclick = () => $('keys').showModal();
$('filter').oninput = () => {
  routes.filter($('filter').value);
  countRoutes();
};
addEventListener('keydown', onKey);
addEventListener('hashchange', navigate);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', applyTheme);
applyTheme();
// After what there is to see.
live.addEventListener('document', () => {
  soon(makeCharts);
  soon(() => Object.values(VIEWS).forEach(load => load().catch(() => {})));
  setTimeout(advise, ADVISED_AFTER_MS);
}, { once: true });
live.start();
