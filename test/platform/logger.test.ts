import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const LOGGER = resolve(import.meta.dirname, '../../src/platform/logger.ts');

/** Runs a script that can use `log`, in a process whose standard output is a pipe; returns its lines. */
function linesOf(script: string): { msg: string; err?: { message: string } }[] {
  const source = `
    import { createLogger } from ${JSON.stringify(LOGGER)};
    const log = createLogger('info', { isTerminal: false });
    ${script}`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
    encoding: 'utf8',
  });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

const messagesOf = (script: string) => linesOf(script).map(({ msg }) => msg);

test('the log has each line in order when the process exits in the same turn of the event loop', () => {
  expect(messagesOf(`log.info({}, 'one'); log.warn({}, 'two'); process.exit(1)`)).toEqual(['one', 'two']);
});

test('the log has the lines before an uncaught error', () => {
  expect(
    messagesOf(`log.info({}, 'one'); setImmediate(() => { log.info({}, 'two'); throw new Error(); })`),
  ).toEqual(['one', 'two']);
});

test('the log has the lines of each turn of the event loop', () => {
  const script = `
    let turn = 0;
    const next = () => { log.info({}, String(turn)); turn += 1; if (turn < 3) setImmediate(next); };
    next();`;
  expect(messagesOf(script)).toEqual(['0', '1', '2']);
});

test('the log has the causes of an error once', () => {
  const script = `
    const cause = new Error('connect ECONNREFUSED 127.0.0.1:5432');
    const busy = new Error('the database cannot be reached: ' + cause.message, { cause });
    log.error({ err: new Error('Service unavailable', { cause: busy }) }, 'request failed');`;
  expect(linesOf(script).map(({ err }) => err?.message)).toEqual([
    'Service unavailable: the database cannot be reached: connect ECONNREFUSED 127.0.0.1:5432',
  ]);
});
