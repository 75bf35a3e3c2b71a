// Chromium for the tests, driven line by line: each line on stdin is a command {"do": NAME, "page": NAME, ...}, each
// line on stdout its answer, {"ok": ...} or {"error": TEXT}. It ends, and the browser with it, with its standard input.
//
// node browser.mjs CHROMIUM

import { createInterface } from 'node:readline';

import { faults } from './faults.mjs';
import { load } from './packages.mjs';

// Shorter than the patience of the tests, so that a page which does not come is said by name.
const PATIENCE = 30_000;

const { chromium } = load('playwright-core');
const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: [
    '--headless=new',
    '--no-sandbox', // the tests run as root in CI, and visit nothing but loopback
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // No name leads anywhere: fonts that a page of the authorization server wants stay where they are.
    '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost',
  ],
});

/** The pages by name: each in a context of its own, as in a browser of its own. */
const pages = new Map();

/** What Chromium had to complain about on a page, with the address that the page had then. */
function watch(page) {
  const complaints = [];
  page.on('console', (message) => {
    const isOwnStatus = message.location().url === page.url() && message.text().startsWith('Failed to load resource');
    const isBad = ['error', 'warning'].includes(message.type());
    if (isBad && !isOwnStatus) complaints.push({ url: page.url(), text: message.text() });
  });
  page.on('pageerror', (error) => complaints.push({ url: page.url(), text: String(error) }));
  return complaints;
}

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
    const context = await browser.newContext({ javaScriptEnabled: scripts });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    pages.set(name, { page, answer: null, complaints: watch(page) });
  },
  go: (open, { url }) => leading(open, () => open.page.goto(url)),
  reload: (open) => leading(open, () => open.page.reload()),
  back: (open) => leading(open, () => open.page.goBack()),
  async fill(open, { label, value }) {
    await open.page.getByLabel(label).fill(value);
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
  press: (open, { button }) => leading(open, () => open.page.getByRole('button', { name: button }).click()),
  follow: (open, { link }) => leading(open, () => open.page.getByRole('link', { name: link }).click()),
  /** Presses a button that leads nowhere; says what the browser tells the person. */
  async refused(open, { button }) {
    await open.page.getByRole('button', { name: button }).click();
    return open.page.locator(':invalid').last().evaluate((field) => `${field.name}: ${field.validationMessage}`);
  },
  /** Waits until the page shows a text, wherever it takes itself meanwhile. */
  async until(open, { text }) {
    await open.page.getByText(text).first().waitFor();
    await open.page.waitForLoadState('load');
    return look(open);
  },
  look: (open) => look(open),
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
  faults: (open, { screenshot }) => faults(open.page, screenshot),
  async cookies({ page }) {
    return (await page.context().cookies()).map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite }));
  },
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
