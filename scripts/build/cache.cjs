/* `node cache.cjs`: compiles build/hangup.cjs as start.cjs does, and writes V8's code cache to build/hangup.cache. */
const { readFileSync, writeFileSync } = require('node:fs');
const { compileFunction } = require('node:vm');

const { cachedData } = compileFunction(
  readFileSync('build/hangup.cjs', 'utf8'),
  ['exports', 'require', 'module', '__filename', '__dirname'],
  { produceCachedData: true },
);
writeFileSync('build/hangup.cache', cachedData);
