import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

describe('hangup calls', () => {
  let hangup: Hangup;
  beforeAll(async () => {
    hangup = await startHangup();
    await hangup.insertCall({ id: 'c1', status: 'active', phoneNumber: '+15551234567', createdAt: 1_000 });
    await hangup.insertCall({ id: 'c2', status: 'completed', endedAt: 2_000 });
  });
  afterAll(() => hangup.stop());

  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    runHangup(['calls', ...args], {
      cwd: temporaryFolder(),
      env: { HANGUP_URL: hangup.url, HANGUP_API_KEY: hangup.key, ...env },
    });

  test('calls list prints a table, or JSON with --json', async () => {
    const { stdout } = await run(['list']);
    expect(stdout).toMatch(/^CALL +STATUS +DIRECTION +PHONE +CREATED\n/);
    expect(stdout).toMatch(/^c1 +active +outbound +\+15551234567 +1970-/m);
    expect((await run(['list', '--status', 'completed'])).stdout).not.toContain('c1');
    expect((await run(['list', '--status', 'active', 'completed'])).stdout).toMatch(/^c2 .*\nc1 /m);
    expect((await run(['list', '--status', 'ringing', '--status', 'busy'])).stdout).toBe('no calls\n');
    expect(JSON.parse((await run(['list', '--json'])).stdout)).toMatchObject({
      data: { calls: [{ id: 'c2' }, { id: 'c1' }] },
    });
  });

  test('calls get prints a call, and calls cancel cancels a live one', async () => {
    expect(JSON.parse((await run(['get', 'c1'])).stdout)).toMatchObject({ id: 'c1', status: 'active' });
    expect(await run(['cancel', 'c1', '--reason', 'an emergency'])).toMatchObject({
      code: 0,
      stdout: 'cancelled c1; its room is gone\n',
    });
    hangup.livekit.emulator?.setFault('DeleteRoom', { kind: 'status503' });
    await hangup.insertCall({ id: 'c3', status: 'active' });
    expect((await run(['cancel', 'c3'])).stdout).toMatch(
      /^cancelled c3; its room still exists \(unavailable: .*\)\. hangup retries until the room is gone; `hangup calls get c3` prints/,
    );
    hangup.livekit.emulator?.setFault('DeleteRoom', null);
    expect((await hangup.store.findCall('c1'))?.call).toMatchObject({
      status: 'cancelled',
      cancelReason: 'an emergency',
    });
    expect(await run(['cancel', 'c2'])).toMatchObject({
      code: 1,
      stderr: 'hangup: Cannot cancel call with status: completed (HTTP 400).\n',
    });
  });

  test('an error states the failure and the remedy', async () => {
    expect((await run(['get', 'nobody'])).stderr).toMatch(/\(HTTP 404\)/);
    expect((await run(['list'], { HANGUP_API_KEY: 'hangup_live_wrong' })).stderr).toMatch(
      /\(HTTP 401\)\. Set HANGUP_API_KEY/,
    );
    expect(await run(['list'], { HANGUP_API_KEY: '' })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/HANGUP_API_KEY: required; /),
    });
    // A script may capture extra lines. The value still contains a key, so the error must not show it.
    const captured = await run(['list'], { HANGUP_API_KEY: `${hangup.key}\n\nhangup_` });
    expect(captured).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/HANGUP_API_KEY: expected one/),
    });
    expect(captured.stderr).not.toContain(hangup.key);
    expect((await run(['list'], { HANGUP_URL: 'http://127.0.0.1:1' })).stderr).toMatch(/cannot connect to/);
    expect((await run(['list'], { HANGUP_URL: hangup.url.replace('http', 'https') })).stderr).toMatch(
      /does not use TLS/,
    );
    expect(await run(['list'], { HANGUP_URL: 'ftp://x' })).toMatchObject({ code: 2 });
    for (const wrong of [
      `${hangup.url}/api/v1`,
      `${hangup.url}//`,
      `${hangup.url}?x`,
      `${hangup.url}/#x`,
      hangup.url.replace('://', '://me:secret@'),
    ]) {
      const refused = await run(['list'], { HANGUP_URL: wrong });
      expect(refused, wrong).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('HANGUP_URL: expected'),
      });
      expect(refused.stderr).not.toContain('secret');
    }
    for (const id of ['', '.', '..'])
      expect(await run(['get', id])).toMatchObject({ code: 1, stderr: 'hangup: Call not found.\n' });
    expect(await run(['list', '--status', 'wrong'])).toMatchObject({ code: 2 });
    expect(await run(['list', '--limit', '1', '--limit', '2'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("option '--limit <count>' was given twice"),
    });
    expect(await run(['list', '--limit', '0'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(HTTP 400)'),
    });
    expect((await run(['list'], { HANGUP_URL: hangup.livekit.url })).stderr).toMatch(
      /is not a hangup server/,
    );
  });

  /** Starts a server that is not hangup. Returns the environment for it. */
  async function startOtherServer(respond: (request: IncomingMessage, response: ServerResponse) => void) {
    const server = createServer(respond).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    return { HANGUP_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  const MAY_HAVE_SUCCEEDED =
    'The call may have been cancelled. Check with `hangup calls get`; retrying is safe.';

  test.each([
    [
      'an interrupted response',
      (_: IncomingMessage, to: ServerResponse) => {
        to.writeHead(200, { 'content-length': 99 }).write('{', () => to.destroy());
      },
      /^hangup: incomplete response from/,
    ],
    [
      'a connection without a response',
      (request: IncomingMessage) => void request.socket.destroy(),
      /^hangup: incomplete response from/,
    ],
    [
      "a proxy's 502",
      (_: IncomingMessage, to: ServerResponse) => void to.writeHead(502).end('<html>Bad Gateway</html>'),
      /^hangup: the proxy at .* received no response from hangup \(HTTP 502\)/,
    ],
  ])(
    'after %s, calls cancel warns that the call may be cancelled, and calls list does not',
    async (_, respond, message) => {
      const env = await startOtherServer(respond);
      const cancel = await run(['cancel', 'c1'], env);
      expect(cancel).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
      expect(cancel.stderr).toContain(MAY_HAVE_SUCCEEDED);
      const list = await run(['list'], env);
      expect(list).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(message) });
      expect(list.stderr).not.toContain('may have been');
    },
  );

  const CANCELLED = '{"data":{"id":"c1","status":"cancelled"},"message":"Call cancelled successfully"}';

  test.each([
    ['other data', 200, '{"data":{}}'],
    ['another call', 200, CANCELLED.replace('c1', 'c2')],
    ['a call that is not cancelled', 200, CANCELLED.replace('cancelled', 'active')],
    ['the right body and 404', 404, CANCELLED],
    ['the right body and 500', 500, CANCELLED],
  ])('calls cancel fails when the response has %s', async (_, status, body) => {
    const env = await startOtherServer((_request, to) => void to.writeHead(status).end(body));
    const stderr = expect.stringMatching(
      /^hangup: .* is not a hangup server \(HTTP \d+\)\. Check HANGUP_URL\.\n$/,
    );
    expect(await run(['cancel', 'c1'], env)).toMatchObject({ code: 1, stdout: '', stderr });
    expect(await run(['list'], env)).toMatchObject({ code: 1, stdout: '', stderr });
  });

  test.each([301, 303, 308])(
    'calls cancel does not send the key to the target of a redirect (%i)',
    async (status) => {
      const requests: string[] = [];
      const elsewhere = await startOtherServer((request, to) => {
        requests.push(String(request.method));
        to.end(CANCELLED);
      });
      const env = await startOtherServer(
        (request, to) =>
          void to.writeHead(status, { location: `${elsewhere.HANGUP_URL}${request.url}` }).end(),
      );
      expect(await run(['cancel', 'c1'], env)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(/^hangup: .* redirects to http.* \(HTTP \d+\)\. Set HANGUP_URL to/),
      });
      expect(requests).toEqual([]);
    },
  );
});

describe('migrate --check', () => {
  test('migrate --check reports the state of the schema and changes nothing', async () => {
    const cwd = temporaryFolder();
    const env = { DATABASE_URL: 'file:hangup.db' };
    const check = () => runHangup(['migrate', '--check'], { cwd, env });
    expect(await check()).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('Database not found'),
    });
    await runHangup(['migrate'], { cwd, env });
    expect(await check()).toMatchObject({ code: 0, stdout: 'hangup.db is up to date\n' });
    const change = (sql: string) => {
      const client = new SqliteDatabase(join(cwd, 'hangup.db'));
      client.exec(sql);
      client.close();
    };
    change("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('unknown', 1)");
    expect(await check()).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('newer version of hangup'),
    });
    change('DELETE FROM __drizzle_migrations WHERE id > 1');
    expect(await check()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/older version of hangup\. Missing migrations: 0001_room_events, 0002/),
    });
    expect(await check()).toMatchObject({ code: 1 });
  });
});
