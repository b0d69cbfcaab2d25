import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const LOGGER = resolve(import.meta.dirname, '../../src/platform/logger.ts');

/** Runs a script that can use `log`, in a process whose standard output is a pipe; returns the messages of its lines. */
function messagesOf(script: string): string[] {
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
    .map((line) => JSON.parse(line).msg);
}

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
