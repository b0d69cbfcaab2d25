import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { readMetrics } from '../harness/metrics.ts';
import { postWebhook, roomWebhooks, sign } from '../harness/webhooks.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const scrape = () => readMetrics(hangup.url);

test("/metrics returns 200 and Prometheus's text format without a key, never cached", async () => {
  const response = await fetch(`${hangup.url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store');
  const text = await response.text();
  expect(text).toMatch(/^hangup_build_info\{version="[\w.]+"\} 1$/m);
  for (const standard of [
    'process_cpu_seconds_total',
    'process_resident_memory_bytes',
    'nodejs_eventloop_lag_seconds',
  ]) {
    expect(text).toMatch(new RegExp(`^# HELP ${standard} `, 'm'));
  }
});

test('/metrics returns 405 to methods other than GET and HEAD', async () => {
  const answer = await hangup.send('POST', '/metrics', { key: null });
  expect(answer).toMatchObject({
    status: 405,
    body: { error: { message: 'Method not allowed', code: 405 } },
  });
  expect(answer.headers.get('allow')).toBe('GET, HEAD');
});

describe('/metrics of calls and room deletions', () => {
  test('count live calls by status at the scrape', async () => {
    const before = await scrape();
    await hangup.insertCall({ id: 'm-ringing', status: 'ringing' });
    await hangup.insertCall({ id: 'm-active', status: 'active' });
    const after = await scrape();
    const grew = (status: string) =>
      after.value('hangup_calls', { status }) - before.value('hangup_calls', { status });
    expect({ ringing: grew('ringing'), active: grew('active'), initiated: grew('initiated') }).toEqual({
      ringing: 1,
      active: 1,
      initiated: 0,
    });
    expect(after.labelValues('hangup_calls', 'status')).toEqual([
      'active',
      'connecting',
      'initiated',
      'ringing',
    ]);
  });

  test('count the end, the attempt, the time to the deleted room and the LiveKit request of a cancel', async () => {
    await hangup.livekit.join('m-cancel', 'caller');
    await hangup.insertCall({ id: 'm-cancel' });
    const before = await scrape();
    const beganAt = Date.now();
    expect(await hangup.send('DELETE', '/api/v1/calls/m-cancel')).toMatchObject({ status: 200 });
    const seconds = (Date.now() - beganAt) / 1_000;
    const after = await scrape();
    const grew = (name: string, labels = {}) => after.value(name, labels) - before.value(name, labels);
    expect(grew('hangup_calls_ended_total', { status: 'cancelled' })).toBe(1);
    expect(grew('hangup_room_deletion_attempts_total', { state: 'completed' })).toBe(1);
    expect(grew('hangup_room_deletion_duration_seconds_count')).toBe(1);
    expect(grew('hangup_room_deletion_duration_seconds_sum')).toBeLessThanOrEqual(seconds + 0.001);
    expect(grew('hangup_livekit_requests_total', { method: 'DeleteRoom', code: 'answered' })).toBe(1);
    expect(grew('hangup_livekit_request_duration_seconds_count', { method: 'DeleteRoom' })).toBe(1);
    const cancels = { method: 'changeCall:cancel' };
    expect(after.value('hangup_store_operation_duration_seconds_count', cancels)).toBeGreaterThan(0);
    expect(after.value('hangup_livekit_up')).toBe(1);
    expect(after.value('hangup_room_deletion_oldest_age_seconds')).toBe(0);
  });

  test('count no end for a refused or repeated cancel', async () => {
    await hangup.insertCall({ id: 'm-twice' });
    const headers = { 'idempotency-key': 'm-twice' };
    await hangup.send('DELETE', '/api/v1/calls/m-twice', { headers });
    const before = await scrape();
    expect(await hangup.send('DELETE', '/api/v1/calls/m-twice', { headers })).toMatchObject({ status: 200 });
    expect(await hangup.send('DELETE', '/api/v1/calls/m-twice')).toMatchObject({ status: 400 });
    const after = await scrape();
    expect(after.sum('hangup_calls_ended_total')).toBe(before.sum('hangup_calls_ended_total'));
  });

  test('count an end by a webhook', async () => {
    await hangup.insertCall({ id: 'm-webhooks', createdAt: Date.now() - 60_000 });
    const before = await scrape();
    await postWebhook(hangup.url, roomWebhooks('m-webhooks').finished());
    const labels = { status: 'failed' };
    const after = await scrape();
    expect(after.value('hangup_calls_ended_total', labels)).toBe(
      before.value('hangup_calls_ended_total', labels) + 1,
    );
  });

  test('count and time the loops of the reconciler', async () => {
    await expect
      .poll(
        async () =>
          (await scrape()).value('hangup_reconcile_duration_seconds_count', { loop: 'deletions' }) > 0,
      )
      .toBe(true);
    const metrics = await scrape();
    expect(metrics.value('hangup_reconcile_duration_seconds_count', { loop: 'reviews' })).toBeGreaterThan(0);
    expect(metrics.sum('hangup_reconcile_errors_total')).toBe(0);
  });
});

describe('/metrics of webhooks', () => {
  const counted = async (event: string, outcome: string) =>
    (await scrape()).value('hangup_webhooks_total', { event, outcome });

  test('count webhooks by event and outcome', async () => {
    await hangup.insertCall({ id: 'm-hook', createdAt: Date.now() - 60_000 });
    const started = roomWebhooks('m-hook').started();
    await postWebhook(hangup.url, started);
    await postWebhook(hangup.url, started);
    await postWebhook(hangup.url, roomWebhooks('m-nobody').started());
    expect(await counted('room_started', 'applied')).toBe(1);
    expect(await counted('room_started', 'duplicate')).toBe(1);
    expect(await counted('room_started', 'unknown_room')).toBe(1);
    const malformed = 'no JSON';
    await postWebhook(hangup.url, malformed, { authorization: await sign(malformed) });
    expect(await counted('none', 'malformed')).toBe(1);
    await fetch(`${hangup.url}/webhooks/livekit`);
    expect(await counted('none', 'refused')).toBe(1);
  });

  test('count refusals by reason, each from zero', async () => {
    const refused = async (reason: string) =>
      (await scrape()).value('hangup_webhooks_total', { event: 'none', outcome: 'unauthorized', reason });
    const body = roomWebhooks('m-refused').started();
    const tokens = {
      bad_signature: await sign(body, { apiSecret: 'x'.repeat(36) }),
      clock_skew: await sign(body, { ttl: -60 }),
      body_changed: await sign('{}'),
    };
    expect((await scrape()).labelValues('hangup_webhooks_total', 'reason')).toEqual([
      'bad_signature',
      'body_changed',
      'clock_skew',
      'missing_token',
    ]);
    for (const [reason, authorization] of Object.entries(tokens)) {
      expect(await refused(reason)).toBe(0);
      await postWebhook(hangup.url, body, { authorization });
      expect(await refused(reason)).toBe(1);
    }
    expect(await refused('missing_token')).toBe(0);
    await postWebhook(hangup.url, body, {});
    await postWebhook(hangup.url, body, {});
    expect(await refused('missing_token')).toBe(2);
  });

  test('have no series for an unknown event name', async () => {
    const evil = ['"} 1\nup 0\n#', 'x'.repeat(10_000), '__proto__', 'constructor', 'none', '電話'];
    // All unknown event names share one series.
    await postWebhook(
      hangup.url,
      JSON.stringify({ event: 'other-1', id: 'EV_other', room: { sid: 'RM', name: 'x' } }),
    );
    const before = await scrape();
    for (const [i, event] of evil.entries()) {
      const sent = JSON.stringify({ event, id: `EV_evil${i}`, room: { sid: 'RM', name: 'x' } });
      expect(await postWebhook(hangup.url, sent)).toMatchObject({ status: 200 });
    }
    const after = await scrape();
    const series = (metrics: typeof after) => metrics.samples.map(({ name, labels }) => [name, labels]);
    const ofWebhooks = (metrics: typeof after) =>
      series(metrics).filter(([name]) => name === 'hangup_webhooks_total');
    expect(ofWebhooks(after)).toEqual(ofWebhooks(before));
    const other = { event: 'other', outcome: 'ignored' };
    expect(after.value('hangup_webhooks_total', other)).toBe(
      before.value('hangup_webhooks_total', other) + evil.length,
    );
  });
});

test('no metric contains a name, a number or an id of a call', async () => {
  await hangup.insertCall({ id: 'm-secret', roomName: 'call-_+15557770001_x', phoneNumber: '+15557770001' });
  await hangup.send('DELETE', '/api/v1/calls/m-secret');
  const text = await (await fetch(`${hangup.url}/metrics`)).text();
  expect(text).not.toMatch(/15557770001|m-secret|acme|call-_/);
});
