import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { until } from './harness/hangup.ts';
import { cancelAll, prepareCalls } from './harness/live-calls.ts';

test('SIGTERM during cancels: what was begun is answered, LiveKit’s webhooks are put off, and it ends with 0', async () => {
  const { emulator, store, key, ids, file, serve } = await prepareCalls(60, {
    settings: { LIVEKIT_REQUEST_TIMEOUT_MS: '2000' },
  });
  emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: 700 });
  const hangup = await serve();
  const cancels = cancelAll(hangup.url, key, ids);
  const cancelled = async () => {
    const records = await Promise.all(ids.map((id) => store.findCall(id)));
    return records.filter((record) => record?.call.status === 'cancelled').length;
  };
  await until('all are on record, and none is answered', async () => (await cancelled()) === ids.length);
  const ended = once(hangup.child, 'exit');
  hangup.child.kill('SIGTERM');
  expect((await cancels).length).toBe(ids.length);
  expect((await ended)[0]).toBe(0);
  expect(emulator.roomNames()).toEqual([]);
  await expect(fetch(`${hangup.url}/healthz`)).rejects.toThrow();
  // The test has the database open too, so the -wal stays; it is empty.
  expect(existsSync(file)).toBe(true);
  expect(hangup.output()).toContain('"msg":"hangup stops"');
});

test('leases of attempts that LiveKit does not answer are given back', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(3, {
    settings: {
      LIVEKIT_BACKGROUND_TIMEOUT_MS: '60000',
      RETRY_FIRST_DELAY_MS: '10',
      RETRY_MAX_DELAY_MS: '1000',
    },
  });
  emulator.setFault('DeleteRoom', { kind: 'status503' });
  const hangup = await serve();
  expect(await cancelAll(hangup.url, key, ids)).toHaveLength(3);
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const states = async () =>
    (await Promise.all(ids.map((id) => store.findCall(id)))).map((record) => record?.deletion);
  await until('all are tried again', async () =>
    (await states()).every((one) => one?.state === 'running' && one.attempt > 1),
  );
  expect(await hangup.kill('SIGTERM')).toBe(0);
  for (const deletion of await states()) {
    expect(deletion).toMatchObject({
      state: 'retryable',
      lastError: 'unavailable: hangup was stopped meanwhile',
    });
  }
  // So the next one need not wait for a lease of a minute.
  emulator.setFault('DeleteRoom', null);
  await serve();
  await until('all rooms are gone', () => emulator.roomNames().length === 0);
}, 60_000);

test('a second signal ends it at once', async () => {
  const { emulator, store, key, ids, serve } = await prepareCalls(1, {
    settings: { LIVEKIT_REQUEST_TIMEOUT_MS: '4000' },
  });
  emulator.setFault('DeleteRoom', { kind: 'hang' });
  const hangup = await serve();
  const cancel = cancelAll(hangup.url, key, ids);
  await until('it is asked', async () => (await store.findCall('c0'))?.call.status === 'cancelled');
  hangup.child.kill('SIGTERM');
  await until('it stops', () => hangup.output().includes('"msg":"hangup stops"'));
  expect(await hangup.kill('SIGINT')).toBe(1);
  await cancel;
});
