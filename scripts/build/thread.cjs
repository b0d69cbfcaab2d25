/* The entry of a thread of the single file: runs store-thread.cjs with V8's code cache. A thread has no embedded files in fs. */
const { createRequire } = require('node:module');
const { getRawAsset } = require('node:sea');
const { Script } = require('node:vm');

const view = (name) => Buffer.from(getRawAsset(name));

const filename = '/hangup/store-thread.cjs';
const script = new Script(view('store-thread.cjs').latin1Slice(), {
  filename,
  cachedData: view('store-thread.cache'),
});
script.runInThisContext()({}, createRequire(filename), {}, filename, '/hangup');
