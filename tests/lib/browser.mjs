// What every page that is driven in Chromium needs.
import { load, options } from './node_modules.mjs';

const playwright = await load('playwright-core');
export const chromium = playwright.chromium ?? playwright.default.chromium;

// How it is launched: nothing goes anywhere but to what is tested.
export const how = {
  executablePath: options.executable,
  headless: true,
  ignoreHTTPSErrors: true, // certificates are made as a test runs
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--disable-features=WebRtcHideLocalIpsWithMdns'],
};

export const text = (page, selector) =>
  page.locator(selector).first().innerText();

// Until what a selector says meets a condition; what it says then.
export async function until(page, selector, condition, timeout = 20000) {
  const end = Date.now() + timeout;
  for (;;) {
    const is = await text(page, selector).catch(() => '');
    if (condition(is)) return is;
    if (Date.now() > end)
      throw new Error(`${selector} says ${JSON.stringify(is)}`);
    await page.waitForTimeout(20);
  }
}
