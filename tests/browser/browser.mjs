// Chromium for the tests, driven line by line: each line on stdin is a command {"do": NAME, "page": NAME, ...}, each
// line on stdout its answer, {"ok": ...} or {"error": TEXT}. It ends, and the browser with it, with its standard input.
//
// node browser.mjs CHROMIUM [keep-pages] [NAME=ADDRESS...]
//   keep-pages    with the browser's cache for going back
//   NAME=ADDRESS  where a host is, such as authsome.test=127.0.0.1:8080 for port 80 of authsome.test

import { createInterface } from 'node:readline';

import { faults } from './faults.mjs';
import { load } from './packages.mjs';

// Shorter than the patience of the tests, so that a page which does not come is said by name.
const PATIENCE = 30_000;

const words = process.argv.slice(3);
const keepsPages = words.includes('keep-pages');
const hosts = words.map((word) => word.split('=')).filter(([, address]) => address);
const { chromium } = load('playwright-core');
const browser = await chromium.launch({
  executablePath: process.argv[2],
  // People's browsers keep pages to come back to; the library cannot tell when one of them is shown again.
  ignoreDefaultArgs: keepsPages ? ['--disable-back-forward-cache'] : [],
  args: [
    '--headless=new',
    '--no-sandbox', // the tests run as root in CI, and visit nothing but loopback
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // No other name leads anywhere: fonts that a page of the authorization server wants stay where they are.
    `--host-resolver-rules=${hosts.map(([name, address]) => `MAP ${name}:80 ${address} , `).join('')}` +
      'MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost',
  ],
});

/** The pages by name. */
const pages = new Map();

/** What Chromium had to complain about on a page, with the address that the page had then. */
function watch(page) {
  const complaints = [];
  const complain = (text) => complaints.push({ url: page.url(), text });
  page.on('console', (message) => {
    // A document's own status is for the test to judge; beside one that is no page, a browser looks for an icon.
    const { url } = message.location();
    const isExpected = url === page.url() || url.endsWith('/favicon.ico');
    const isStatus = message.text().startsWith('Failed to load resource');
    if (['error', 'warning'].includes(message.type()) && !(isExpected && isStatus)) complain(message.text());
  });
  page.on('pageerror', (error) => complain(String(error)));
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText;
    // A page that was left loads no further, and what a form was answered is not kept to come back to.
    if (!['net::ERR_ABORTED', 'net::ERR_CACHE_MISS'].includes(why)) complain(`${request.url()}: ${why}`);
  });
  page.on('dialog', (dialog) => {
    complain(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return complaints;
}

async function open(name, context, scripts) {
  const page = await context.newPage();
  pages.set(name, { page, scripts, answer: null, complaints: watch(page) });
}

/** Where something is: on the whole page, or in its part under a heading, or there in a row of a table or of a list. */
function place({ page }, { section, row }) {
  const heading = page.getByRole('heading', { name: section, exact: true });
  const part = section ? page.locator('section').filter({ has: heading }) : page.locator('body');
  return row ? part.locator('tbody tr, li').filter({ hasText: row }) : part;
}

/** What `find` finds under a name, else under a longer one. */
async function called(find, name) {
  const exact = find(name, true);
  return (await exact.count()) > 0 ? exact : find(name, false);
}

/** The field with a label, which may say that it is optional. */
function field(open, { label, ...where }) {
  const part = place(open, where);
  return called((name, exact) => part.getByLabel(name, { exact }).or(part.getByLabel(`${name} (optional)`, { exact })), label);
}

const button = (open, { button: name, ...where }) =>
  called((words, exact) => place(open, where).getByRole('button', { name: words, exact }), name);
const link = (open, { link: name, ...where }) =>
  called((words, exact) => place(open, where).getByRole('link', { name: words, exact }), name);

async function look({ page, answer }) {
  const text = await page.locator('body').innerText();
  return { url: page.url(), status: answer?.status() ?? 0, title: await page.title(), text };
}

/** Acts, and waits for the page that this leads to, redirects included. */
async function leading(open, act) {
  const [answer] = await Promise.all([open.page.waitForNavigation({ waitUntil: 'load' }), act()]);
  open.answer = answer;
  return look(open);
}

const commands = {
  /** A page in a browser without a past. */
  async new({ page: name, scripts = true }) {
    const permissions = ['clipboard-read', 'clipboard-write'];
    const context = await browser.newContext({ javaScriptEnabled: scripts, permissions });
    context.setDefaultTimeout(PATIENCE);
    await open(name, context, scripts);
  },
  /** One more page of the browser that this page is in. */
  tab: ({ page, scripts }, { tab }) => open(tab, page.context(), scripts),
  go: (open, { url }) => leading(open, () => open.page.goto(url)),
  reload: (open) => leading(open, () => open.page.reload()),
  /** To the page before; to nothing when that was the answer to a form. */
  back: (open) =>
    leading(open, () => open.page.goBack()).catch((error) => {
      if (!String(error).includes('net::ERR_CACHE_MISS')) throw error;
      return look({ ...open, answer: null });
    }),
  async fill(open, { value, ...where }) {
    await (await field(open, where)).fill(value);
  },
  async choose(open, { option, ...where }) {
    await (await field(open, where)).selectOption({ label: option });
  },
  async tick(open, { on, ...where }) {
    await (await field(open, where)).setChecked(on);
  },
  /** Opens what is folded under these words. */
  async unfold(open, { label, ...where }) {
    await place(open, where).locator('summary').filter({ hasText: label }).click();
  },
  /** The field that has the focus, on a new page as soon as one has it, gets these keys. */
  async type(open, { text }) {
    await open.page.locator('input:focus').waitFor();
    await open.page.keyboard.type(text);
  },
  async key(open, { key }) {
    await open.page.keyboard.press(key);
  },
  enter: (open) => leading(open, () => open.page.keyboard.press('Enter')),
  press: (open, where) => leading(open, async () => (await button(open, where)).click()),
  follow: (open, where) => leading(open, async () => (await link(open, where)).click()),
  /** Presses a button that a script listens to. */
  async click(open, where) {
    await (await button(open, where)).click();
  },
  /** Presses a button that leads nowhere; says what the browser tells the person. */
  async refused(open, where) {
    await (await button(open, where)).click();
    return open.page.locator(':invalid').last().evaluate((field) => `${field.name}: ${field.validationMessage}`);
  },
  /** Waits until the page shows a text, wherever it takes itself meanwhile. */
  async until(open, { text }) {
    await open.page.getByText(text).first().waitFor();
    await open.page.waitForLoadState('load');
    return look(open);
  },
  look: (open) => look(open),
  text: (open, where) => place(open, where).innerText(),
  /** How many there are of a role, such as `button`, with this name. */
  count: (open, { role, name, ...where }) => place(open, where).getByRole(role, { name }).count(),
  /** The texts of the cells of each row of the only table. */
  rows: (open, where) =>
    place(open, where)
      .locator('tbody tr')
      .evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.innerText.trim()))),
  /** What a field says of itself: its value, whether it takes that, and what a screen reader reads out beside it. */
  field: async (open, where) =>
    (await field(open, where)).evaluate((one) => {
      const ids = (one.getAttribute('aria-describedby') ?? '').split(' ').filter(Boolean);
      const description = ids.map((id) => document.getElementById(id)?.innerText ?? `no #${id}`).join(' ');
      return { value: one.value, checked: one.checked ?? false, invalid: one.ariaInvalid === 'true', description };
    }),
  /** What has the focus, and whether one sees that. */
  focus: ({ page }) =>
    page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const name = element.labels?.[0]?.innerText ?? element.innerText ?? '';
      const { width } = element.getBoundingClientRect();
      return { tag: element.localName, name: name.trim(), isSeen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && width > 0 };
    }),
  /** What an expression of JavaScript gives in the page. */
  evaluate: ({ page }, { expression }) => page.evaluate(expression),
  /** Every answer that comes while an expression is evaluated: method, address and status. */
  async answers({ page }, { expression }) {
    const seen = [];
    const note = (answer) => seen.push([answer.request().method(), answer.url(), answer.status()]);
    page.on('response', note);
    await page.evaluate(expression);
    page.off('response', note);
    return seen;
  },
  /** The page that an expression leads to. */
  provoke: (open, { expression }) => leading(open, () => open.page.evaluate(expression)),
  /** The addresses of the frames inside, once they have loaded or failed to. */
  async frames({ page }) {
    const urls = () => page.mainFrame().childFrames().map((frame) => frame.url());
    while (urls().some((url) => !url || url === 'about:blank')) await page.waitForEvent('framenavigated');
    return urls();
  },
  /** Sends the page's form, and gives the first address elsewhere that this leads to, without going there. */
  async leave({ page }) {
    const form = await page.locator('form').first().evaluate((one) => ({ action: one.action, fields: Object.fromEntries(new FormData(one)) }));
    const { request } = page.context();
    let answer = await request.post(form.action, { form: form.fields, maxRedirects: 0 });
    for (;;) {
      const next = new URL(answer.headers().location, answer.url());
      if (next.origin !== new URL(page.url()).origin) return next.href;
      answer = await request.get(next.href, { maxRedirects: 0 });
    }
  },
  complaints: (open) => open.complaints,
  faults: (open, { screenshot }) => faults(open.page, open.scripts, screenshot),
  cookies: ({ page }) => page.context().cookies(),
  /** Cookies as somebody puts them into a browser who has stolen them. */
  plant: ({ page }, { cookies }) => page.context().addCookies(cookies),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    const open = command.do === 'new' ? command : pages.get(command.page);
    answer = { ok: (await commands[command.do](open, command)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
