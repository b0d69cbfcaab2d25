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
    await hangup.insertCall({ id: 'c1', status: 'active', phoneNumber: '+15551234567' });
    await hangup.insertCall({ id: 'c2', status: 'completed', endedAt: 2_000 });
  });
  afterAll(() => hangup.stop());

  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    runHangup(['calls', ...args], {
      cwd: temporaryFolder(),
      env: { HANGUP_URL: hangup.url, HANGUP_API_KEY: hangup.key, ...env },
    });

  test('list prints a table, and JSON with --json', async () => {
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

  test('get shows a call and cancel ends the call', async () => {
    expect(JSON.parse((await run(['get', 'c1'])).stdout)).toMatchObject({ id: 'c1', status: 'active' });
    expect(await run(['cancel', 'c1', '--reason', 'an emergency'])).toMatchObject({
      code: 0,
      stdout: 'c1 is cancelled, and its room is gone\n',
    });
    hangup.livekit.emulator?.setFault('DeleteRoom', { kind: 'status503' });
    await hangup.insertCall({ id: 'c3', status: 'active' });
    expect((await run(['cancel', 'c3'])).stdout).toMatch(
      /^c3 is cancelled; its room is not gone yet \(unavailable: .*\)\. It is tried again until it is: `hangup calls get c3` shows/,
    );
    hangup.livekit.emulator?.setFault('DeleteRoom', null);
    expect((await hangup.store.findCall('c1'))?.call).toMatchObject({
      status: 'cancelled',
      cancelReason: 'an emergency',
    });
    expect(await run(['cancel', 'c2'])).toMatchObject({
      code: 1,
      stderr: 'hangup: Cannot cancel call with status: completed (400).\n',
    });
  });

  test('prints what failed and what to do when a request is refused', async () => {
    expect((await run(['get', 'nobody'])).stderr).toMatch(/\(404\)/);
    expect((await run(['list'], { HANGUP_API_KEY: 'hangup_live_wrong' })).stderr).toMatch(
      /\(401\)\. Set HANGUP_API_KEY/,
    );
    expect(await run(['list'], { HANGUP_API_KEY: '' })).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/HANGUP_API_KEY: expected; /),
    });
    // As a script may catch it; it is a key all the same, and not to be shown.
    const caught = await run(['list'], { HANGUP_API_KEY: `${hangup.key}\n\nhangup_` });
    expect(caught).toMatchObject({ code: 2, stderr: expect.stringMatching(/HANGUP_API_KEY: expected one/) });
    expect(caught.stderr).not.toContain(hangup.key);
    expect((await run(['list'], { HANGUP_URL: 'http://127.0.0.1:1' })).stderr).toMatch(
      /no hangup answers at/,
    );
    expect((await run(['list'], { HANGUP_URL: hangup.url.replace('http', 'https') })).stderr).toMatch(
      /no TLS is spoken/,
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
      stderr: expect.stringContaining('(400)'),
    });
    expect((await run(['list'], { HANGUP_URL: hangup.livekit.url })).stderr).toMatch(/is no hangup/);
  });

  /** The environment for a server that is not hangup, and answers so. */
  async function standIn(answer: (request: IncomingMessage, to: ServerResponse) => void) {
    const server = createServer(answer).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    return { HANGUP_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  const MAY_BE_DONE = 'It may be done all the same: `hangup calls get` shows it.';

  test.each([
    [
      'is cut off',
      (_: IncomingMessage, to: ServerResponse) => void to.writeHead(200, { 'content-length': 99 }).end('{'),
      /^hangup: no whole answer came from/,
    ],
    [
      'never begins',
      (request: IncomingMessage) => void request.socket.destroy(),
      /^hangup: no whole answer came from/,
    ],
    [
      "is a proxy's",
      (_: IncomingMessage, to: ServerResponse) => void to.writeHead(502).end('<html>Bad Gateway</html>'),
      /^hangup: the proxy at .* got no answer of hangup \(502\)/,
    ],
  ])('reports that a cancel may have been applied when the answer %s', async (_, answer, says) => {
    const env = await standIn(answer);
    const cancel = await run(['cancel', 'c1'], env);
    expect(cancel).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(says) });
    expect(cancel.stderr).toContain(MAY_BE_DONE);
    const list = await run(['list'], env);
    expect(list).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(says) });
    expect(list.stderr).not.toContain('done');
  });

  const CANCELLED = '{"data":{"id":"c1","status":"cancelled"},"message":"Call cancelled successfully"}';

  test.each([
    ['nothing in particular', 200, '{"data":{}}'],
    ['another call', 200, CANCELLED.replace('c1', 'c2')],
    ['a call that is not cancelled', 200, CANCELLED.replace('cancelled', 'active')],
    ['the right words with 404', 404, CANCELLED],
    ['the right words with 500', 500, CANCELLED],
  ])('reports that the server is not hangup when it answers with %s', async (_, status, body) => {
    const env = await standIn((_request, to) => void to.writeHead(status).end(body));
    const said = expect.stringMatching(
      /^hangup: what answers at .* is no hangup \(\d+\)\. Set HANGUP_URL\.\n$/,
    );
    expect(await run(['cancel', 'c1'], env)).toMatchObject({ code: 1, stdout: '', stderr: said });
    expect(await run(['list'], env)).toMatchObject({ code: 1, stdout: '', stderr: said });
  });

  test.each([301, 303, 308])(
    'does not send the key to the target of a redirect (%i), and cancels nothing',
    async (status) => {
      const asked: string[] = [];
      const elsewhere = await standIn((request, to) => {
        asked.push(String(request.method));
        to.end(CANCELLED);
      });
      const env = await standIn(
        (request, to) =>
          void to.writeHead(status, { location: `${elsewhere.HANGUP_URL}${request.url}` }).end(),
      );
      expect(await run(['cancel', 'c1'], env)).toMatchObject({
        code: 1,
        stdout: '',
        stderr: expect.stringMatching(
          /^hangup: .* sends elsewhere \(\d+, to http.*\)\. Set HANGUP_URL to where/,
        ),
      });
      expect(asked).toEqual([]);
    },
  );
});

describe('migrate --check', () => {
  test('prints the state of the schema and changes nothing', async () => {
    const cwd = temporaryFolder();
    const env = { DATABASE_URL: 'file:hangup.db' };
    const check = () => runHangup(['migrate', '--check'], { cwd, env });
    expect(await check()).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('Cannot read the database'),
    });
    await runHangup(['migrate'], { cwd, env });
    expect(await check()).toMatchObject({ code: 0, stdout: 'hangup.db is up to date\n' });
    const change = (sql: string) => {
      const client = new SqliteDatabase(join(cwd, 'hangup.db'));
      client.exec(sql);
      client.close();
    };
    change("INSERT INTO __drizzle_migrations (hash, created_at) VALUES ('of tomorrow', 1)");
    expect(await check()).toMatchObject({ code: 3, stderr: expect.stringContaining('newer hangup') });
    change('DELETE FROM __drizzle_migrations WHERE id > 1');
    expect(await check()).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/older hangup, and lacks 0001_room_events, 0002/),
    });
    expect(await check()).toMatchObject({ code: 1 });
  });
});
