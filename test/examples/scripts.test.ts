import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Call } from '../../src/domain/call.ts';
import { empty, type Fault, html, json, startFaultServer } from '../harness/fault-server.ts';
import { type Answer, type Hangup, startHangup } from '../harness/hangup.ts';

/* The scripts of clients/examples in each language against hangup on its emulator. PYTHON is a Python with the client. */

const FOLDER = resolve(import.meta.dirname, '../../clients/examples');
const { PYTHON = 'python3' } = process.env;

/** The names of the scripts in Python have `_` instead of `-`. */
const SCRIPTS = [
  'cancel',
  'cancel-by-criteria',
  'cancel-scheduled',
  'check-first',
  'handle-errors',
  'retry',
  'stop-agent',
] as const;
type Script = (typeof SCRIPTS)[number];

const LANGUAGES = {
  curl: (script: string) => ['sh', join(FOLDER, 'curl', `${script}.sh`)],
  JavaScript: (script: string) => [process.execPath, join(FOLDER, 'javascript', `${script}.js`)],
  Python: (script: string) => [PYTHON, join(FOLDER, 'python', `${script.replaceAll('-', '_')}.py`)],
} as const;
type Language = keyof typeof LANGUAGES;

/** Arguments of each script for calls that do not exist. */
const ARGUMENTS: Readonly<Record<Script, readonly string[]>> = {
  cancel: ['unknown', 'caller request'],
  'cancel-by-criteria': ['+15550000000', 'complaint'],
  'cancel-scheduled': ['unknown'],
  'check-first': ['unknown'],
  'handle-errors': ['unknown'],
  retry: ['unknown'],
  'stop-agent': ['unknown', 'wrong advice'],
};

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  language: Language,
  script: Script,
  args: readonly string[],
  { url = hangup.url, key = hangup.key } = {},
): Promise<Result> {
  const [program = '', ...words] = LANGUAGES[language](script);
  const env = { PATH: process.env.PATH, HANGUP_URL: url, HANGUP_API_KEY: key, PYTHONDONTWRITEBYTECODE: '1' };
  return new Promise((done) => {
    execFile(program, [...words, ...args], { env }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** Inserts a call with a phone in its room. Returns the phone's disconnect reason when the phone is disconnected. */
async function startCall(parts: Partial<Call> & { id: string }): Promise<() => Promise<string>> {
  await hangup.insertCall({ status: 'active', ...parts });
  const { disconnected } = await hangup.livekit.join(parts.id, 'phone', { kind: 'sip' });
  return () => disconnected;
}

async function readCall(id: string): Promise<unknown> {
  return (await hangup.send('GET', `/api/v1/calls/${id}`)).body;
}

/** Returns an address where no server listens. */
async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

test('each script exists in each language, and the index lists each script', () => {
  const index = readFileSync(join(FOLDER, 'README.md'), 'utf8');
  const files = (pattern: string) => globSync(pattern, { cwd: FOLDER });
  const named = (folder: string, shared: string, extension: string, separator: string) =>
    [...SCRIPTS.map((script) => script.replaceAll('-', separator)), shared].map(
      (name) => `${folder}/${name}.${extension}`,
    );
  expect(new Set(files('curl/*.sh'))).toEqual(new Set(named('curl', 'hangup', 'sh', '-')));
  expect(new Set(files('javascript/*.js'))).toEqual(new Set(named('javascript', 'run', 'js', '-')));
  expect(new Set(files('python/*.py'))).toEqual(new Set(named('python', 'run', 'py', '_')));
  for (const file of files('{curl,javascript,python}/*.{sh,js,py}')) expect(index).toContain(`(${file})`);
});

describe.each(Object.keys(LANGUAGES) as Language[])('the examples in %s', (language) => {
  const id = (name: string) => `${language}-${name}`;

  test('cancel: cancels a call with its reason, and the phone is disconnected', async () => {
    const disconnected = await startCall({ id: id('cancel') });
    expect(await run(language, 'cancel', [id('cancel'), "caller's request & more"])).toEqual({
      code: 0,
      stdout: `Call ${id('cancel')} is cancelled.\n`,
      stderr: '',
    });
    expect(await disconnected()).toBe('ROOM_DELETED');
    expect(await readCall(id('cancel'))).toMatchObject({
      data: { status: 'cancelled', cancelReason: "caller's request & more" },
    });
    // A second cancel changes nothing.
    expect(await run(language, 'cancel', [id('cancel'), 'again'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Cannot cancel call with status: cancelled\n',
    });
  });

  test('handle-errors: treats each error differently', async () => {
    const script = (key?: string, url?: string) =>
      run(language, 'handle-errors', [id('errors')], {
        ...(key !== undefined && { key }),
        ...(url !== undefined && { url }),
      });
    expect(await script()).toEqual({ code: 1, stdout: '', stderr: `No call has the id ${id('errors')}.\n` });
    await startCall({ id: id('errors') });
    const unable = await hangup.createKey('acme', ['calls:read']);
    expect(await script(unable)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^hangup refuses the key in HANGUP_API_KEY: .*calls:cancel/),
    });
    const broken = await startFaultServer(json(413, { error: { message: 'Body too large', code: 413 } }));
    expect(await script(hangup.key, broken.url)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Body too large'),
    });
    expect(await readCall(id('errors'))).toMatchObject({ data: { status: 'active' } });
    expect(await script()).toEqual({ code: 0, stdout: `Call ${id('errors')} is cancelled.\n`, stderr: '' });
    expect(await script()).toEqual({
      code: 0,
      stdout: `Call ${id('errors')} has already ended. Cannot cancel call with status: cancelled\n`,
      stderr: '',
    });
  });

  test('check-first: cancels a live call, and leaves an ended call alone', async () => {
    await startCall({ id: id('live'), status: 'ringing' });
    expect(await run(language, 'check-first', [id('live')])).toEqual({
      code: 0,
      stdout: `Call ${id('live')} is live: ringing.\nCall ${id('live')} is cancelled.\n`,
      stderr: '',
    });
    expect(await run(language, 'check-first', [id('live')])).toEqual({
      code: 0,
      stdout: `Call ${id('live')} has already ended: cancelled.\n`,
      stderr: '',
    });
  });

  test('stop-agent: cancels all calls of the agent and no other call, and waits for the last room', async () => {
    const agentId = id('sales');
    const ended = await Promise.all(
      [1, 2, 3].map((index) => startCall({ id: `${agentId}-${index}`, agentId })),
    );
    await startCall({ id: id('support'), agentId: id('support') });
    const { code, stdout, stderr } = await run(language, 'stop-agent', [agentId, 'wrong "advice"']);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'Matching live calls: 3\nCancelled calls: 3\n',
    });
    expect(stderr).toMatch(/^(?:Rooms to delete: \d\n)+$/);
    expect(await Promise.all(ended.map((reason) => reason()))).toEqual(Array(3).fill('ROOM_DELETED'));
    expect(await readCall(`${agentId}-1`)).toMatchObject({ data: { cancelReason: 'wrong "advice"' } });
    expect(await readCall(id('support'))).toMatchObject({ data: { status: 'active' } });
  });

  test('cancel-scheduled: cancels a call before its start, and no other call', async () => {
    await hangup.insertCall({ id: id('later'), scheduledAt: Date.parse('2099-01-01T10:00:00Z') });
    await startCall({ id: id('now') });
    expect(await run(language, 'cancel-scheduled', [id('later')])).toEqual({
      code: 0,
      stdout: `Call ${id('later')}, scheduled for 2099-01-01T10:00:00.000Z, is cancelled.\n`,
      stderr: '',
    });
    expect(await run(language, 'cancel-scheduled', [id('now')])).toEqual({
      code: 1,
      stdout: '',
      stderr: `Call ${id('now')} does not wait for its start: active.\n`,
    });
    expect(await readCall(id('now'))).toMatchObject({ data: { status: 'active' } });
  });

  test('cancel-by-criteria: cancels the unanswered outbound calls to a number', async () => {
    const phoneNumber = `+1555${{ curl: 1, JavaScript: 2, Python: 3 }[language]}234567`;
    await startCall({ id: id('ringing'), status: 'ringing', phoneNumber });
    await startCall({ id: id('answered'), phoneNumber });
    await startCall({ id: id('inbound'), status: 'ringing', direction: 'inbound', phoneNumber });
    await startCall({ id: id('other'), status: 'ringing', phoneNumber: '+15559999999' });
    expect(await run(language, 'cancel-by-criteria', [phoneNumber, 'complaint'])).toEqual({
      code: 0,
      stdout: `Cancelled calls: 1\n${id('ringing')}\n`,
      stderr: '',
    });
    for (const live of ['answered', 'inbound', 'other']) {
      expect(await readCall(id(live)), live).toMatchObject({ data: { endedAt: null } });
    }
  });

  test('retry: repeats the request after a 503 and a lost response, and the cancel happens once', async () => {
    const disconnected = await startCall({ id: id('retry') });
    const forward =
      (answer: (response: ServerResponse, result: Answer) => void): Fault =>
      (response, request) => {
        const headers = { 'idempotency-key': String(request.headers['idempotency-key']) };
        hangup.send('DELETE', request.url ?? '', { headers }).then(
          (result) => answer(response, result),
          (error: Error) => response.destroy(error),
        );
      };
    const proxy = await startFaultServer(
      html(503, { 'retry-after': '0' }),
      // The response of hangup is lost.
      forward((response) => response.destroy()),
      forward((response, { status, body }) => response.writeHead(status).end(JSON.stringify(body))),
    );
    const { code, stdout, stderr } = await run(language, 'retry', [id('retry')], { url: proxy.url });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `Call ${id('retry')} is cancelled.\n` });
    expect(stderr.match(/ttempt (?:\d )?failed/g)).toHaveLength(2);
    expect(proxy.requests.map(({ headers }) => headers['idempotency-key'])).toEqual(
      Array(3).fill(`"cancel-${id('retry')}"`),
    );
    expect(await disconnected()).toBe('ROOM_DELETED');
    // The command itself can be repeated too.
    expect(await run(language, 'retry', [id('retry')])).toMatchObject({ code: 0 });
  });

  test('cancel: states the cause when a server that is not hangup answers', async () => {
    const server = await startFaultServer(html(200));
    const { code, stderr } = await run(language, 'cancel', ['x', 'y'], { url: server.url });
    expect(code).toBe(1);
    expect(stderr).toContain(`${server.url} returned a response that is not from hangup (HTTP 200).`);
  });

  test.each([
    ['an empty success', empty(200), 200],
    ['a 400 of a proxy', html(400), 400],
    ['a 404 of a proxy', html(404), 404],
  ])('handle-errors: %s is not an answer about the call', async (_, fault, status) => {
    const server = await startFaultServer(fault);
    const { code, stdout, stderr } = await run(language, 'handle-errors', ['x'], { url: server.url });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`${server.url} returned a`);
    expect(stderr).toContain(`(HTTP ${status})`);
  });

  test('retry: repeats the request after a Retry-After with a date', async () => {
    const server = await startFaultServer(
      html(503, { 'retry-after': new Date().toUTCString() }),
      json(200, { data: { id: 'x', status: 'cancelled' } }),
    );
    expect(await run(language, 'retry', ['x'], { url: server.url })).toMatchObject({ code: 0 });
  });

  test('cancel: exits with 2 for empty and surplus arguments, and without a key', async () => {
    for (const args of [
      ['x', ''],
      ['', 'y'],
      ['x', 'y', 'z'],
    ]) {
      expect(await run(language, 'cancel', args), args.join()).toMatchObject({ code: 2, stdout: '' });
    }
    expect(await run(language, 'cancel', ['x', 'y'], { key: '' })).toMatchObject({ code: 2, stdout: '' });
  });
});

describe.each(SCRIPTS)('%s', { concurrent: true }, (script) => {
  describe.each(Object.keys(LANGUAGES) as Language[])('in %s', (language) => {
    const args = ARGUMENTS[script];

    test('exits with 1 and the message for a wrong key', async () => {
      const { code, stdout, stderr } = await run(language, script, args, { key: 'wrong' });
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/Unauthorized\n$/);
    });

    test('reports a call, agent or number that is unknown', async () => {
      const { code, stdout, stderr } = await run(language, script, args);
      if (script === 'stop-agent' || script === 'cancel-by-criteria') {
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        expect(stdout).toMatch(/^(?:Matching live|Cancelled) calls: 0\n$/);
      } else {
        expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
        expect(stderr).toMatch(/^(?:Call not found|No call has the id unknown\.)\n$/);
      }
    });

    test('exits with an error that names the address when no server listens', async () => {
      const url = await closedAddress();
      const { code, stdout, stderr } = await run(language, script, args, { url });
      expect({ code, stdout }).toEqual({ code: script === 'handle-errors' ? 75 : 1, stdout: '' });
      expect(stderr.trimEnd().split('\n').at(-1)).toContain(`No response from ${url}`);
    });

    test('exits with 2 and its usage for a missing argument', async () => {
      const { code, stdout, stderr } = await run(language, script, args.slice(1));
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/^Usage: HANGUP_API_KEY=KEY (?:sh|node|python3) [\w-]+\.\w+( [A-Z_]+)+\n$/);
    });
  });
});
