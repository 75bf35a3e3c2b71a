// What is wrong with a page of ours, for people: on a phone and on a desktop, light and dark.

import { load, violations } from './accessibility.mjs';

const WIDTHS = [360, 1280];
const SCHEMES = ['light', 'dark'];

/** Bytes of a page of the dashboard with its style sheet and its script. */
const WEIGHT = 60_000;

/**
 * Faults as sentences; none: an empty list. `scripts`: whether the page's browser runs any, without which axe-core does
 * not run either. `screenshot`: where pictures go, less `-dark-360.png` and the like.
 */
export async function faults(page, scripts, screenshot) {
  const found = new Set(await page.evaluate(anatomy));
  const weight = await page.evaluate(weigh);
  if (weight > WEIGHT) found.add(`${weight} bytes`);
  if (scripts) await load(page);
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 720 });
      const seen = await page.evaluate(appearance);
      // All rules once for each width and for each scheme.
      const ofLooks = (colorScheme === 'light') !== (width === 360);
      if (scripts) seen.push(...(await violations(page, ofLooks)));
      for (const fault of seen) found.add(`${fault} (${colorScheme}, ${width} px)`);
      if (screenshot) await page.screenshot({ path: `${screenshot}-${colorScheme}-${width}.png`, fullPage: true, caret: 'initial' });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  return [...found];
}

/** Runs in the page: what every page must have, and must not. */
function anatomy() {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const found = [];
  if (document.doctype?.name !== 'html') found.push('no doctype');
  if (!document.documentElement.lang) found.push('no language');
  if (!document.title.trim()) found.push('no title');
  if (all('h1').length !== 1) found.push(`${all('h1').length} first-level headings`);
  if (all('main').length !== 1) found.push(`${all('main').length} main parts`);
  if (!all('meta[name=viewport]').length) found.push('no viewport');
  for (const field of all('input:not([type=hidden]), select, textarea')) {
    if (field.checkVisibility() && !field.labels?.length) found.push(`the field ${field.name} has no label`);
  }
  for (const one of all('button, a')) {
    if (!one.textContent.trim() && !one.ariaLabel) found.push(`a ${one.localName} without a name`);
  }
  for (const one of all('script:not([src^="/assets/"]), iframe, object, embed')) found.push(`a ${one.localName}`);
  for (const one of all('*')) {
    for (const { name } of one.attributes) if (name.startsWith('on') || name === 'style') found.push(`${one.localName} ${name}=`);
  }
  const ids = all('[id]').map((one) => one.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`two of #${id}`);
  return found;
}

/** Runs in the page: what came over the wire for it, whether just now or before; 0 outside the dashboard. */
function weigh() {
  if (!document.querySelector('nav[aria-label=Dashboard]')) return 0;
  const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  return entries.reduce((sum, entry) => sum + entry.encodedBodySize, 0);
}

/** Runs in the page: what cannot be read, reached or hit. */
function appearance() {
  const brush = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = color;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data];
  };
  // WCAG 2.2: relative luminance, contrast ratio.
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = rgba(getComputedStyle(one).backgroundColor);
      if (color[3] === 255) return color;
    }
    return null;
  };
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`${root.scrollWidth - root.clientWidth} px too wide`);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim();
    const element = texts.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    const ground = behind(element);
    if (!ground) {
      found.push(`no background behind "${text.slice(0, 40)}"`);
      continue;
    }
    const { color, fill } = getComputedStyle(element);
    const ink = rgba(element.ownerSVGElement ? fill : color);
    const [low, high] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`"${text.slice(0, 40)}" has a contrast of ${contrast.toFixed(1)}`);
  }
  // WCAG 2.2, 2.5.8: at least 24 by 24 px, but links in a sentence. Who hits the label hits the box.
  for (const target of document.querySelectorAll('button, summary, select, textarea, input:not([type=hidden]), nav a, a.button')) {
    const { width, height } = ((target.type === 'checkbox' && target.labels[0]) || target).getBoundingClientRect();
    const what = `the ${target.localName} ${target.name || target.innerText}`;
    if (target.checkVisibility() && (width < 24 || height < 24)) found.push(`${what} is ${width} by ${height} px`);
  }
  return found;
}
