// Follows a route with penstock.js in a page of Chromium, a JSON line for each
// event.  The page is the script itself, shown as text, of the route's origin
// or that of options.page.
import { chromium, how } from './browser.mjs';
import { options, say } from './node_modules.mjs';
import { follow } from './follow_penstock.mjs';

const context = await chromium.launchPersistentContext(options.profile, how);

try {
  const page = context.pages()[0] ?? await context.newPage();
  const script = new URL('/penstock.js', options.page ?? options.url).href;
  await page.exposeFunction('say', say);
  await page.goto(script);
  await page.evaluate(`import(${JSON.stringify(script)}).then(() =>
    (${follow})(window.Penstock, ${JSON.stringify(options)}, window.say))`);
} finally {
  await context.close();
}
