import { expect } from 'vitest';
import type { EventReader } from './event-reader.ts';
import { HALF_CANCELLED } from './live-calls.ts';
import { query } from './postgres-server.ts';
import type { Traffic } from './traffic.ts';

/* Checks of a database on Postgres after traffic, by SQL. */

/** Calls whose changes of status do not follow from each other. */
const BROKEN_HISTORIES = `
  SELECT subject_id AS id FROM (
    SELECT subject_id, from_status, lag(to_status) OVER (PARTITION BY subject_id ORDER BY id) AS before
    FROM audit_log WHERE action IN ('call.created', 'call.status_changed')
  ) AS steps WHERE from_status IS DISTINCT FROM before`;
/** Changes that one event of LiveKit made more than once. */
const APPLIED_TWICE = `
  SELECT actor_id AS id FROM audit_log WHERE actor = 'livekit'
  GROUP BY actor_id, action, subject_id, from_status, to_status HAVING count(*) > 1`;
const GAPS = `
  SELECT id FROM (SELECT id, lag(id, 1, 0::bigint) OVER (ORDER BY id) AS before FROM audit_log) AS ids
  WHERE id <> before + 1`;

const idsOf = async (url: string, sql: string, values: readonly unknown[] = []): Promise<string[]> =>
  (await query<{ id: string }>(url, sql, values)).map(({ id }) => id);

/** Checks that each transaction is complete or absent. */
export async function expectWhole(url: string): Promise<void> {
  expect(await idsOf(url, HALF_CANCELLED), 'half cancelled calls').toEqual([]);
  expect(await idsOf(url, BROKEN_HISTORIES), 'calls with a broken history').toEqual([]);
  expect(await idsOf(url, APPLIED_TWICE), 'events that were applied twice').toEqual([]);
  expect(await idsOf(url, GAPS), 'gaps of the audit log').toEqual([]);
}

/** Checks that everything that was acknowledged is on record. */
export async function expectNothingLost(
  url: string,
  { created, cancelled, cancelledTwice, webhooks }: Traffic,
): Promise<void> {
  const lost = (ids: Iterable<string>, found: string) =>
    idsOf(url, `SELECT id FROM unnest($1::text[]) AS ids (id) WHERE id NOT IN (${found})`, [[...ids]]);
  expect(await lost(created, 'SELECT id FROM calls'), 'created calls').toEqual([]);
  expect(
    await lost(cancelled, `SELECT id FROM calls WHERE status = 'cancelled'`),
    'cancels with the response 200',
  ).toEqual([]);
  expect(cancelledTwice, 'calls with two cancels that were answered 200').toEqual([]);
  const applied = [...webhooks.outcomes].filter(([, outcomes]) => !outcomes.includes('ignored'));
  expect(
    await lost(
      applied.map(([id]) => id),
      'SELECT id FROM livekit_events',
    ),
    'webhooks with the response 200',
  ).toEqual([]);
  const twice = applied.filter(([, outcomes]) => outcomes.filter((name) => name !== 'duplicate').length > 1);
  expect(twice, 'webhooks that two responses report as applied').toEqual([]);
}

/** Checks that the reader received each event of the organization once, in the order of the audit log. */
export async function expectAllEvents(
  reader: EventReader,
  url: string,
  organizationId: string,
): Promise<void> {
  const read = () =>
    query<{ id: string }>(
      url,
      `SELECT id::text AS id FROM audit_log WHERE organization_id = $1
         AND action IN ('call.created', 'call.status_changed', 'call.room_deletion') ORDER BY audit_log.id`,
      [organizationId],
    );
  const ids = (await read()).map(({ id }) => id);
  await expect.poll(() => reader.events.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(ids.length);
  expect(reader.events.map(({ id }) => id)).toEqual((await read()).map(({ id }) => id));
}

/** Waits until no deletion is open, and checks that no room of an ended call exists. */
export async function expectRoomsGone(url: string, { emulator, cancelled, left }: Traffic): Promise<void> {
  const ended = cancelled.union(left);
  await expect
    .poll(
      () => idsOf(url, `SELECT id FROM calls WHERE ended_at IS NULL AND id = ANY($1::text[])`, [[...ended]]),
      {
        timeout: 60_000,
        interval: 200,
        message: 'live calls whose caller left',
      },
    )
    .toEqual([]);
  // The end of a call can begin a deletion.
  await expect
    .poll(() => idsOf(url, 'SELECT call_id AS id FROM room_deletions WHERE finalized_at IS NULL'), {
      timeout: 60_000,
      interval: 200,
      message: 'open deletions',
    })
    .toEqual([]);
  expect(
    await idsOf(url, `SELECT call_id AS id FROM room_deletions WHERE state = 'discarded'`),
    'discarded deletions',
  ).toEqual([]);
  const rooms = emulator.roomNames().filter((name) => ended.has(name));
  expect(rooms, 'rooms of ended calls').toEqual([]);
}

/** Clients of a cancel give up after this time. */
export const CLIENT_TIMEOUT_MS = 5_000;

export const unavailable = ({ answers }: Pick<Traffic, 'answers'>) =>
  answers.filter(({ status }) => status === 503);

/** Checks that each failed response is a 503, which a client and LiveKit repeat. */
export function expectRetryable({ answers }: Traffic): void {
  const wrong = answers.filter(
    ({ status, retryAfter }) => status >= 500 && (status !== 503 || retryAfter === null),
  );
  expect(wrong).toEqual([]);
}

export function expectAnswersInTime({ answers }: Traffic): void {
  expect(answers.filter(({ durationMs }) => durationMs > CLIENT_TIMEOUT_MS)).toEqual([]);
}
