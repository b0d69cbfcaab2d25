/*
 * Runs hangup.cjs as start.cjs does, and writes V8's code caches to build/hangup.cache and build/store-thread.cache. A cache contains
 * only the functions that V8 has compiled, so it is written after the run.
 */
const { writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const { getAsset } = require('node:sea');
const { setFlagsFromString } = require('node:v8');
const { Script } = require('node:vm');

// Garbage collections count the age of functions, and the count is part of a cache.
setFlagsFromString('--no-flush-bytecode');
const scripts = ['hangup', 'store-thread'].map((name) => {
  const filename = join(__dirname, `${name}.cjs`);
  const script = new Script(getAsset(`${name}.cjs`, 'utf8'), { filename });
  return { name, filename, script };
});
process.on('exit', () => {
  // V8 rejects a cache that was written with other flags.
  setFlagsFromString('--flush-bytecode');
  for (const { name, script } of scripts) writeFileSync(`build/${name}.cache`, script.createCachedData());
});
const [{ script, filename }] = scripts;
script.runInThisContext()({}, createRequire(filename), {}, filename, __dirname);
