// Drives the dashboard in Chromium.  options: {mode, url, executable, ...}; a JSON
// line for each thing that it has seen.  With options.shots, pictures are kept
// there.
import { chromium, how, text, until } from './browser.mjs';
import { options, say } from './node_modules.mjs';

const browser = await chromium.launch(how);

async function open(hash = '', look = {}, before = () => {}) {
  const context = await browser.newContext(
    { colorScheme: 'light', viewport: { width: 1280, height: 900 }, ...look });
  const page = await context.newPage();
  page.on('pageerror', e => say({ is: 'pageerror', message: String(e) }));
  page.on('console', m => m.type() === 'error' &&
    !m.text().includes('404') && !m.text().includes('401') &&
    say({ is: 'pageerror', message: m.text() }));
  page.on('request', r => new URL(r.url()).host !== new URL(options.url).host &&
    !r.url().startsWith('data:') && say({ is: 'elsewhere', url: r.url() }));
  await before(page);
  await page.goto(options.url + hash);
  return page;
}

async function shoot(page, name) {
  if (options.shots)
    await page.screenshot({ path: `${options.shots}/${name}.png` });
}

const dark = { colorScheme: 'dark' };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2,
  isMobile: true, hasTouch: true };
const OPENINGS = 5;
const keyOf = path => encodeURIComponent(` ${path}`);

// --- what there is to see ----------------------------------------------------------

// The tasks of the page's main thread, the longest first.  The browser has pages
// of its own, in other processes.
function tasksOf(events) {
  const of = e => `${e.pid} ${e.tid}`;
  const ours = new Set(events.filter(e =>
    e.args?.data?.url?.startsWith?.(`${options.url}dashboard/`)).map(e => e.pid));
  const mine = new Set(events.filter(e => e.name === 'thread_name' &&
    e.args.name === 'CrRendererMain' && ours.has(e.pid)).map(of));
  const here = events.filter(e => e.ph === 'X' && mine.has(of(e)));
  const tasks = here.filter(e => e.name === 'RunTask').sort((a, b) => b.dur - a.dur);
  return { here, tasks };
}

// What a task spent its time on, each without what it called.
function partsOf(task, here) {
  const inside = here.filter(e => e !== task && e.tid === task.tid && e.pid === task.pid &&
    e.ts >= task.ts && e.ts + e.dur <= task.ts + task.dur)
    .sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const own = new Map(), open = [];
  for (const e of inside) {
    while (open.length && open.at(-1).ts + open.at(-1).dur <= e.ts) open.pop();
    own.set(e, e.dur);
    if (open.length) own.set(open.at(-1), own.get(open.at(-1)) - e.dur);
    open.push(e);
  }
  const byName = {};
  for (const [e, us] of own) {
    const from = e.args?.data?.functionName || e.args?.data?.url || '';
    const name = `${e.name} ${from.split('/').pop()}`.trim();
    byName[name] = (byName[name] ?? 0) + us / 1000;
  }
  return Object.entries(byName).sort(([, a], [, b]) => b - a).slice(0, 5)
    .map(([name, ms]) => `${name} ${ms.toFixed(1)}`).join('; ');
}

// One CSV-like line of figures for what work() does.
async function trace(page, name, work) {
  await browser.startTracing(page, { categories: ['toplevel', '__metadata',
    'disabled-by-default-devtools.timeline', 'devtools.timeline', 'v8'] });
  const began = Date.now();
  await work();
  const { traceEvents } = JSON.parse(await browser.stopTracing());
  const { here, tasks } = tasksOf(traceEvents);
  const took_ms = Date.now() - began, ms = t => t.dur / 1000;
  say({ [`${name}_tasks`]: tasks.length,
    [`${name}_longest_task_ms`]: tasks.slice(0, 5).map(t => ms(t).toFixed(1)).join(' '),
    [`${name}_longest_task_cpu_ms`]:
      tasks.slice(0, 5).map(t => (t.tdur / 1000).toFixed(1)).join(' '),
    [`${name}_longest_task_is`]: tasks.length ? partsOf(tasks[0], here) : '',
    [`${name}_tasks_over_50_ms`]: tasks.filter(t => ms(t) > 50).length,
    [`${name}_main_thread_busy_percent`]:
      (100 * tasks.reduce((sum, t) => sum + ms(t), 0) / took_ms).toFixed(1) });
}

// A page that has just been opened, in a context of its own: nothing is cached.
async function opening() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  page.on('pageerror', e => { throw e; });
  await page.goto('about:blank');
  await page.waitForTimeout(1500); // the browser has pages of its own to open
  await trace(page, 'opening', async () => {
    await page.goto(options.url);
    await page.waitForTimeout(4000); // to ask it meanwhile would be work of its own
  });
  await until(page, '#count', s => s !== '');
  return context;
}

const modes = {
  // All routes, one of them, and the way between by keys.
  async routes() {
    const page = await open();
    await until(page, '#state', s => s === 'live');
    await until(page, '#count', s => s === String(options.routes));
    await until(page, `.r:has-text("${options.path}") .c-readers b`, s => Number(s) === options.readers);
    await until(page, '.tile.t-readers b', s => Number(s) === options.readers);
    const chart = await page.locator('#chart-delivered canvas').count();
    const uplot = await page.locator('#chart-delivered .uplot').count();
    await page.keyboard.press('/');
    await page.keyboard.type('quotes');
    await until(page, '#count', s => s.startsWith('1 of'));
    await page.keyboard.press('ArrowDown');
    const focused = await page.evaluate(() => document.activeElement.innerText);
    await page.keyboard.press('Enter');
    const title = await until(page, '#route h1', s => s.startsWith('/'));
    await page.keyboard.press('Escape');
    await until(page, '#overview h2', s => s === 'Routes');
    await page.fill('#filter', '');
    await page.click(`text=${options.path}`);
    await until(page, '#route tbody tr.sse td', s => Number(s) === options.readers);
    const cells = await page.locator('#route tbody tr.sse').allInnerTexts();
    await shoot(page, 'test-route');
    say({ is: 'seen', chart, uplot, focused, title, cells: cells[0].split('\t') });
  },

  // Many routes: each has its row, and those in sight have all their cells.
  async many() {
    const page = await open();
    const rows = page.locator('.body .r'), full = page.locator('.body .r:not(.bare)');
    await until(page, '#state', s => s === 'live');
    await page.waitForFunction(n => document.querySelectorAll('.body .r').length === n,
      options.routes);
    await rows.first().locator('.c-readers').waitFor();
    const first = await full.count();
    await rows.last().scrollIntoViewIfNeeded();
    await rows.last().locator('.c-readers').waitFor();
    const paths = await page.locator('.body .path').allTextContents();
    await page.fill('#filter', `/${options.routes - 1}`);
    await until(page, '#count', s => s === `1 of ${options.routes}`);
    say({ is: 'seen', first, then: await full.count(), paths });
  },

  // A program that was built without uPlot has no such files.
  async plain() {
    const page = await open('', {}, p => p.route(/uPlot/, r => r.fulfill({ status: 404 })));
    await until(page, '#state', s => s === 'live');
    const drawn = await page.waitForFunction(() => {
      const c = document.querySelector('#chart-delivered > canvas');
      const of = c?.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      return of?.some(v => v > 0) && [c.clientWidth, c.parentElement.clientWidth];
    });
    await page.click('#theme');
    await page.click(`text=${options.path}`);
    await page.locator('#route figure canvas').nth(1).waitFor();
    await shoot(page, 'test-plain');
    say({ is: 'seen', widths: await drawn.jsonValue(),
      uplot: await page.locator('.uplot').count() });
  },

  // Light, dark, and what is remembered.
  async theme() {
    const page = await open('', dark);
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await until(page, '#state', s => s === 'live');
    const system = await ground();
    await page.click('#theme');
    const light = await ground();
    await page.keyboard.press('t');
    const chosen = await ground();
    await page.click('#theme');
    await page.click('#theme');
    await page.reload();
    await until(page, '#state', s => s === 'live');
    say({ is: 'seen', system, light, dark: chosen, again: await ground() });
  },

  // Nothing sticks out of a phone, in any view.
  async phone() {
    const page = await open('', phone), wide = {};
    await until(page, '#state', s => s === 'live');
    for (const [name, hash] of [['overview', '#/'], ['route', `#/route/${keyOf(options.path)}`],
      ['race', `#/race/${keyOf(options.path)}`]]) {
      await page.goto(options.url + hash);
      await page.locator(`#${name}`).waitFor();
      await page.waitForTimeout(200);
      wide[name] = await page.evaluate(() => document.documentElement.scrollWidth);
      await shoot(page, `test-phone-${name}`);
    }
    say({ is: 'seen', wide });
  },

  // The four side by side; what the page publishes lands in each.
  async race() {
    const page = await open(`#/race/${keyOf(options.path)}`);
    if (options.channel) {
      await page.locator('#race-channel').waitFor();
      await page.fill('#race-channel', options.channel);
      await page.press('#race-channel', 'Enter');
    }
    for (const t of ['websocket', 'sse', 'longpoll'])
      await until(page, `.lane.${t} small`, s => s === 'open');
    await until(page, '.lane.poll small', s => s.startsWith('every'));
    const lanes = await page.locator('.lane').count();
    if (lanes > 5) await until(page, '.lane.webrtc small', s => s === 'one hop more');
    const names = ['websocket', 'sse', 'longpoll', 'poll', ...lanes > 5 ? ['webrtc'] : []];
    for (let n = 0; n < 3; n++) await page.click('#race-publish');
    const got = {};
    for (const t of names) {
      await until(page, `#race tr.${t} td`, s => s === '3');
      got[t] = (await page.locator(`#race tr.${t}`).innerText()).split('\t');
    }
    await shoot(page, 'test-race');
    say({ is: 'seen', got });
  },

  // It asks for the token, tells a wrong one, and keeps the right one.
  async token() {
    const page = await open();
    await page.locator('#token-text').waitFor();
    await page.fill('#token-text', 'wrong');
    await page.keyboard.press('Enter');
    await page.locator('#token-wrong').waitFor();
    await page.fill('#token-text', options.token);
    await page.keyboard.press('Enter');
    await until(page, '#state', s => s === 'live');
    await page.reload();
    await until(page, '#state', s => s === 'live');
    await page.goto(`${options.url}#/race/${keyOf(options.path)}`);
    for (const t of ['websocket', 'sse', 'longpoll'])
      await until(page, `.lane.${t} small`, s => s === 'open');
    say({ is: 'seen' });
  },

  // penstock goes and comes back.
  async away() {
    const page = await open();
    await until(page, '#state', s => s === 'live');
    say({ is: 'up' });
    await until(page, '#state', s => s.startsWith('no answer'));
    say({ is: 'down' });
    await until(page, '#state', s => s === 'live', 30000);
    say({ is: 'seen', count: await text(page, '#count') });
  },

  // A page that opens, is looked at, scrolled, sorted and filtered.
  async trace() {
    for (let n = 1; n < OPENINGS; n++) await (await opening()).close();
    const context = await opening(), page = context.pages()[0];
    await trace(page, 'watching', () => page.waitForTimeout(options.seconds * 500));
    await trace(page, 'using', async () => {
      for (let i = 0; i < 20; i++) {
        await page.mouse.wheel(0, 600);
        await page.waitForTimeout(100);
      }
      await page.evaluate(() => scrollTo(0, 0));
      await page.click('text=Readers >> nth=1');
      await page.click('text=Octets >> nth=0');
      await page.fill('#filter', 'quotes');
      await page.waitForTimeout(1500);
      await page.fill('#filter', '');
      await page.waitForTimeout(1500);
    });
    await page.goto(`${options.url}#/race/${keyOf('/quotes/acme')}`);
    await page.waitForTimeout(2000);
    await trace(page, 'race', () => page.waitForTimeout(options.seconds * 250));
    await context.close();
    if (options.shots) await modes.shots();
  },

  async shots() {
    for (const [name, look] of [['light', {}], ['dark', dark], ['phone', phone],
      ['phone-dark', { ...phone, ...dark }]]) {
      const pages = [await open('', look),
        await open(`#/route/${keyOf('/quotes/acme')}`, look),
        await open(`#/race/${keyOf('/quotes/acme')}`, look)];
      await pages[0].waitForTimeout(options.seconds * 1000);
      for (const [i, view] of ['routes', 'route', 'race'].entries()) {
        await pages[i].bringToFront();
        await pages[i].waitForTimeout(1200);
        await shoot(pages[i], `${view}-${name}`);
        await pages[i].context().close();
      }
    }
  },
};

try {
  await modes[options.mode]();
  if (!['trace', 'shots'].includes(options.mode)) say({ is: 'end' });
} finally {
  await browser.close();
}
