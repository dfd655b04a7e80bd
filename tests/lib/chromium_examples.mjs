// Drives the page of one example in Chromium, as its users do; says what it
// saw.  With options.shots, pictures of it are kept there.
import { chromium, how, text, until } from './browser.mjs';
import { options, say } from './node_modules.mjs';

const browser = await chromium.launch(how);

async function open(query = '', scheme = 'light') {
  const context = await browser.newContext(
    { colorScheme: scheme, viewport: { width: 1000, height: 720 } });
  const page = await context.newPage();
  page.on('pageerror', e => say({ is: 'pageerror', message: String(e) }));
  await page.goto(options.url + query);
  return page;
}

const number = s => Number.parseFloat(s);

const examples = {
  async notifications() {
    const page = await open(), other = await open();
    for (const p of [page, other])
      await until(p, '#transport', s => s === 'websocket');
    await page.fill('#text', 'Tea is ready');
    await page.click('button');
    for (const p of [page, other])
      await until(p, '#live li', s => s === 'Tea is ready');
    await until(page, '#polled li', s => s === 'Tea is ready');
    const live = number(await text(page, '#live-age'));
    const polled = number(await text(page, '#poll-age'));
    await until(page, '#poll-empty', s => number(s) >= 1);
    say({ is: 'seen', live, polled, requests: await text(page, '#live-requests') });
    return page;
  },

  async chat() {
    const ann = await open('?room=tea&name=Ann');
    const bob = await open('?room=tea&name=Bob');
    for (const p of [ann, bob])
      await until(p, '#here', s => s.includes('Ann') && s.includes('Bob'));
    const latencies = [];
    for (const [from, to, what] of [[ann, bob, 'Milk or lemon?'],
      [bob, ann, 'Lemon, please'], [ann, bob, 'Coming']]) {
      await from.locator('#text').pressSequentially(what);
      await until(to, '#typing', s => s.includes('typing'));
      await from.press('#text', 'Enter');
      await until(to, '#log li:last-child', s => s.includes(what));
      latencies.push(number(await until(from, '#latency', s => s.includes('ms'))));
    }
    const late = await open('?room=tea&name=Cy');
    await until(late, '#log', s => s.includes('Milk or lemon?'));
    say({ is: 'seen', latency: Math.min(...latencies) });
    await until(ann, '#here', s => s.includes('Cy'));
    await late.context().close();
    await bob.fill('#name', 'Rob');
    await bob.press('#name', 'Enter');
    await until(ann, '#here', s => s === 'Ann\nRob');
    await until(bob, '#here', s => s === 'Ann\nRob');
    return ann;
  },

  async prices() {
    const page = await open();
    for (const symbol of ['AAPL', 'MSFT', 'ACME'])
      await until(page, `#${symbol} .big`, s => number(s) > 0);
    const ticks = number(await until(page, '#ACME small', s => number(s) >= 15));
    await page.click('text=Buy >> nth=2');
    await until(page, '#orders', s => s.includes('Buy 10 ACME'));
    await page.click('text=Sell >> nth=0');
    await until(page, '#orders', s => s.includes('Sell 10 AAPL'));
    say({ is: 'seen', ticks, took: number(await text(page, '#orders tr td:last-child')) });
    return page;
  },

  async iot() {
    const page = await open(), other = await open();
    await until(page, '#temperature', s => s.includes('°C'));
    await page.click('#lamp');
    await until(page, '#done', s => s.startsWith('lamp is on'));
    for (const p of [page, other])
      await until(p, '#lamp', s => s === 'Lamp is on');
    say({ is: 'seen', done: await text(page, '#done'), other: await text(other, '#done') });
    await page.waitForTimeout(3000);
    return page;
  },

  async crud() {
    const page = await open(), other = await open();
    for (const name of ['Alice', 'Bob', 'Carol']) {
      await page.fill('#name', name);
      await page.click('#add button');
      await until(other, '#users', s => s.includes(name));
    }
    await other.click('[aria-label="Delete Bob"]');
    await until(page, '#users', s => !s.includes('Bob') && s.includes('Carol'));
    say({ is: 'seen', users: await text(page, '#users') });
    return page;
  },

  async weather() {
    const page = await open();
    await until(page, '#degrees', s => s.includes('°C'));
    await until(page, '#fresh', s => number(s) >= 2, 30000);
    await until(page, '#asked', s => number(s) >= 5, 30000);
    say({ is: 'seen', asked: number(await text(page, '#asked')),
      fresh: number(await text(page, '#fresh')),
      octets: number(await text(page, '#octets')) });
    return page;
  },

  async 'public-api'() {
    const page = await open();
    await until(page, '#log', s => s.includes('EUR'));
    await page.click('[data-ask=etag]');
    await until(page, '#log', s => s.includes('304'));
    await page.click('[data-ask=since]');
    await until(page, '#log', s => s.includes('"messages"'));
    await page.click('[data-ask=wait]');
    await until(page, '#log tr td', s => s === '?wait=10');
    await page.click('[data-ask=burst]');
    const burst = await until(page, '#log', s => s.includes('40 at once'));
    say({ is: 'seen', limited: number(burst.match(/429 × (\d+)/)[1]) });
    return page;
  },

  async game() {
    const page = await open();
    await until(page, '#rate', s => number(s) >= 30);
    await page.press('#field', 'ArrowRight');
    await page.click('#field');
    await until(page, '#pushes', s => number(s) === 2);
    // Each player has a dot, and is told which.
    const other = await open(), dots = [];
    for (const p of [page, other])
      dots.push(await until(p, '#mine', s => number(s) >= 0));
    say({ is: 'seen', octets: number(await text(page, '#octets')),
      rate: number(await text(page, '#rate')), dots });
    return page;
  },

  async editing() {
    const a = await open('?document=d'), b = await open('?document=d');
    const value = page => page.inputValue('#text');
    const same = async (want, ...pages) => {
      for (const page of pages) {
        const end = Date.now() + 15000;
        while (!want(await value(page))) {
          if (Date.now() > end) throw new Error(`the text is ${await value(page)}`);
          await page.waitForTimeout(20);
        }
      }
    };
    for (const p of [a, b]) await until(p, '#state', s => s === 'online');
    await a.locator('#text').pressSequentially('Dear all,');
    await same(s => s === 'Dear all,', a, b);
    // Both write while one of them is away.
    await b.click('#cut');
    await until(b, '#state', s => s === 'offline');
    await a.press('#text', 'End');
    await a.locator('#text').pressSequentially(' welcome.');
    await b.press('#text', 'Home');
    await b.locator('#text').pressSequentially('(draft) ');
    await b.click('#cut');
    await same(s => s === '(draft) Dear all, welcome.', a, b);
    // Off and on at once is one connection in the end.
    let sockets = 0;
    b.on('websocket', socket => {
      sockets++;
      socket.on('close', () => { sockets--; });
    });
    await b.click('#cut', { clickCount: 3, delay: 0 });
    await b.click('#cut');
    await until(b, '#state', s => s === 'online');
    const more = ' Tea is at five in the garden.'.repeat(6);
    const whole = `(draft) Dear all, welcome.${more}`;
    // More than the history keeps: who comes now still gets the whole.
    await a.locator('#text').press('End');
    await a.locator('#text').pressSequentially(more);
    const late = await open('?document=d');
    await same(s => s === whole, a, b, late);
    say({ is: 'seen', sockets, text: (await value(a)).slice(0, 26) });
    return a;
  },

  async webrtc() {
    const a = await open('?room=r'), b = await open('?room=r');
    for (const p of [a, b])
      await until(p, '#state', s => s === 'connected', 30000);
    for (const by of ['WebRTC', 'websocket', 'sse', 'longpoll', 'poll'])
      await until(a, `#${by} td:last-child`, s => number(s) >= 2, 30000);
    const times = {};
    for (const by of ['WebRTC', 'websocket', 'sse', 'longpoll', 'poll'])
      times[by] = number(await text(a, `#${by} td:nth-child(2)`));
    // Either may go and come again.
    for (const [gone, other] of [[a, b], [b, a]]) {
      await gone.reload();
      for (const p of [gone, other])
        await until(p, '#state', s => s === 'connected', 30000);
    }
    await until(b, '#WebRTC td:last-child', s => number(s) >= 2, 30000);
    await until(a, '#poll td:last-child', s => number(s) >= 3, 30000);
    say({ is: 'seen', times });
    return a;
  },
};

try {
  const page = await examples[options.name]();
  if (options.shots) {
    await page.screenshot({ path: `${options.shots}/${options.name}-light.png` });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.waitForTimeout(700);
    await page.screenshot({ path: `${options.shots}/${options.name}-dark.png` });
  }
  say({ is: 'end' });
} catch (e) {
  say({ is: 'failed', message: String(e) });
} finally {
  await browser.close();
}
