/*
 * The entry of a thread of the single file: runs store-thread.cjs. Only the main thread can read the embedded files, so
 * this script mounts SQLite's addon and the migrations again.
 */
const { createRequire } = require('node:module');
const { dirname, join } = require('node:path');
const { getAsset, getAssetKeys, getRawAsset } = require('node:sea');
const vfs = require('node:vfs');
const { compileFunction } = require('node:vm');

const files = vfs.create();
for (const name of getAssetKeys()) {
  if (name !== 'better_sqlite3.node' && !name.startsWith('drizzle/')) continue;
  files.mkdirSync(dirname(`/${name}`), { recursive: true });
  files.writeFileSync(`/${name}`, Buffer.from(getRawAsset(name)));
}
const folder = files.mount('/hangup');
const filename = join(folder, 'store-thread.cjs');
const run = compileFunction(
  getAsset('store-thread.cjs', 'utf8'),
  ['exports', 'require', 'module', '__filename', '__dirname'],
  { filename },
);
run({}, createRequire(filename), {}, filename, folder);
