// The packages of package.json, which scripts/test installs under target/ so that the source tree stays as it is.

import { createRequire } from 'node:module';

const require = createRequire(new URL('../../target/node/package.json', import.meta.url));

/** `import` of a package by name. */
export const load = (name) => require(name);

/** Where a file of a package is. */
export const find = (name) => require.resolve(name);
