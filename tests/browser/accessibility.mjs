// What axe-core finds on a page.

import { readFileSync } from 'node:fs';

import { find } from './packages.mjs';

const AXE = readFileSync(find('axe-core/axe.min.js'), 'utf8');

const OPTIONS = {
  runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] },
  reporter: 'no-passes',
  preload: false, // it would ask for our style sheet, which our policy forbids to scripts
};

/** The rules whose verdict hangs on colours and on the room that there is. */
const OF_LOOKS = ['color-contrast', 'link-in-text-block', 'target-size', 'scrollable-region-focusable'];

/** Loads it. The browser's own protocol evaluates, so that the policy of the page stays as it is. */
export const load = (page) => page.evaluate(AXE);

/** Violations as sentences, of all rules or only of those about looks. */
export async function violations(page, ofLooks) {
  const options = ofLooks ? { ...OPTIONS, runOnly: { type: 'rule', values: OF_LOOKS } } : OPTIONS;
  const { violations: found } = await page.evaluate((chosen) => globalThis.axe.run(document, chosen), options);
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, html, failureSummary }) => `axe ${id} (${help}) at ${target.join(' ')}: ${html}: ${failureSummary}`),
  );
}
