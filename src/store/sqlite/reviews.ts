import type { Call } from '../../domain/call.ts';
import { suspects } from '../../domain/roster.ts';
import type { CallInRoom, Store } from '../../ports/store.ts';
import { longestPrefix } from './adoption.ts';
import { callById, statements } from './call-statements.ts';
import type { Database } from './database.ts';

export function listUnansweredPhones(
  db: Database,
  { after, limit }: { after: string; limit: number },
): CallInRoom[] {
  return statements(db).unansweredPhones.all({ after, limit });
}

export function listReviews(
  db: Database,
  { now, farthest, limit }: Parameters<Store['listReviews']>[0],
): Awaited<ReturnType<Store['listReviews']>> {
  const due = statements(db).dueReviews.all({ now, farthest, limit });
  return {
    due: due.map(({ roster, ...review }) => ({
      ...review,
      isUnresponsive: roster !== null && roster.unresponsive !== null,
      suspects: roster === null ? [] : suspects(roster).map(({ sid, identity }) => ({ sid, identity })),
      movedAt: roster?.moved?.noticedAt ?? null,
    })),
    nextAt: statements(db).nextReview.get({ now })?.at ?? null,
  };
}

export function findDeletionSubject(
  db: Database,
  callId: string,
): { call: Call; isAdoptable: boolean } | null {
  const call = callById(db, callId);
  return call === null ? null : { call, isAdoptable: longestPrefix(db, call.roomName) !== null };
}
