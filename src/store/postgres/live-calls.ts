import type { LiveCall } from '../../domain/room-diff.ts';
import { type Roster, suspects, versionOf } from '../../domain/roster.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { CallInRoom, Store } from '../../ports/store.ts';
import { nowOf } from './clock.ts';
import { prepareSql, type Session } from './session.ts';

/** A complete roster: Postgres cannot read a part of JSON that contains \u0000, which an identity can contain. */
interface RosterRow {
  readonly roster: Roster | null;
}

interface CallRow extends RosterRow {
  readonly callId: string;
  readonly roomName: string;
}

/** Reads the index of live calls alone. */
const liveRooms = prepareSql<{ name: string }>(`
  SELECT room_name AS name FROM calls WHERE ended_at IS NULL AND room_name > $1 ORDER BY room_name LIMIT $2`);

/** LIMIT keeps the subquery apart: Postgres searches the index for each room, whatever its statistics are. */
const liveInRooms = prepareSql<LiveCall & { readonly n: number }>(`
  SELECT rooms.n, rooms.name AS "roomName", live.id, live.status, live.room_id AS "roomId",
    live.scheduled_at AS "scheduledAt", live.created_at AS "createdAt", live.updated_at AS "updatedAt"
  FROM unnest($1::text[]) WITH ORDINALITY AS rooms (name, n)
  CROSS JOIN LATERAL (SELECT * FROM calls WHERE room_name = rooms.name AND ended_at IS NULL LIMIT 1) AS live`);

/** Scalar subqueries: for EXISTS, Postgres can read the room names of all calls. */
const knownRooms = prepareSql<{ name: string }>(`
  SELECT name FROM unnest($1::text[]) AS rooms (name)
  WHERE (SELECT true FROM calls WHERE room_name = rooms.name LIMIT 1)
    OR (SELECT true FROM adoption_prefixes WHERE starts_with(rooms.name, prefix) LIMIT 1)`);

const rosterVersion = prepareSql<RosterRow>('SELECT roster FROM calls WHERE id = $1');

const unansweredPhones = prepareSql<CallRow>(`
  SELECT id AS "callId", room_name AS "roomName", roster FROM calls
  WHERE has_unanswered_phone = 1 AND id > $1 ORDER BY id LIMIT $2`);

const dueReviews = prepareSql<CallRow>(`
  SELECT id AS "callId", room_name AS "roomName", roster FROM calls
  WHERE review_at IS NOT NULL AND (review_at <= ${nowOf('$1')} OR review_at > ${nowOf('$1')} + $2::bigint)
  ORDER BY review_at LIMIT $3`);

const nextReview = prepareSql<{ at: Timestamp }>(`
  SELECT review_at AS at FROM calls
  WHERE review_at IS NOT NULL AND review_at > ${nowOf('$1')} ORDER BY review_at LIMIT 1`);

export async function listLiveRooms(
  session: Session,
  { after, limit }: { after: string; limit: number },
): Promise<string[]> {
  return (await liveRooms.all(session, [after, limit])).map(({ name }) => name);
}

export async function findLiveCalls(
  session: Session,
  roomNames: readonly string[],
): Promise<(LiveCall | null)[]> {
  const found: (LiveCall | null)[] = roomNames.map(() => null);
  for (const { n, ...call } of await liveInRooms.all(session, [roomNames])) found[n - 1] = call;
  return found;
}

export async function findRosterVersion(session: Session, callId: string): Promise<string | null> {
  const row = await rosterVersion.get(session, [callId]);
  return row === undefined ? null : versionOf(row.roster);
}

export async function listKnownRooms(session: Session, roomNames: readonly string[]): Promise<string[]> {
  return (await knownRooms.all(session, [roomNames])).map(({ name }) => name);
}

export async function listUnansweredPhones(
  session: Session,
  { after, limit }: { after: string; limit: number },
): Promise<CallInRoom[]> {
  const rows = await unansweredPhones.all(session, [after, limit]);
  return rows.map(({ roster, ...call }) => ({ ...call, version: versionOf(roster) }));
}

/** @param now null: the time of the database */
export async function listReviews(
  session: Session,
  { maxDelayMs, limit }: Parameters<Store['listReviews']>[0],
  now: Timestamp | null,
): Promise<Awaited<ReturnType<Store['listReviews']>>> {
  const [due, next] = await Promise.all([
    dueReviews.all(session, [now, maxDelayMs, limit]),
    nextReview.get(session, [now]),
  ]);
  return {
    due: due.map(({ roster, ...call }) => ({
      ...call,
      version: versionOf(roster),
      isUnresponsive: roster !== null && roster.unresponsive !== null,
      suspects: roster === null ? [] : suspects(roster).map(({ sid, identity }) => ({ sid, identity })),
      movedAt: roster?.moved?.noticedAt ?? null,
    })),
    nextAt: next?.at ?? null,
  };
}
