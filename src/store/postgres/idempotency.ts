import {
  checkIdempotency,
  type IdempotentRequest,
  type IdempotentResponse,
  KEY_REUSED,
  type KeyReused,
} from '../../domain/idempotency.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Replayable } from '../../ports/store.ts';
import { upsertRows } from './bulk.ts';
import { idempotencyKeys } from './schema.ts';
import { prepareSql, type Session } from './session.ts';
import type { Transaction } from './transaction.ts';

const find = prepareSql<IdempotentResponse>(`
  SELECT organization_id AS "organizationId", key, fingerprint, created_at AS "createdAt", outcome
  FROM idempotency_keys JOIN unnest($1::text[], $2::text[]) AS requested (organization_id, key)
  USING (organization_id, key)`);
const save = upsertRows(
  idempotencyKeys,
  ['organizationId', 'key', 'fingerprint', 'createdAt', 'outcome'],
  ['organizationId', 'key'],
);
/** Deletes no key that a request uses again meanwhile: its row then has a later time. */
const prune = prepareSql(`
  DELETE FROM idempotency_keys
  WHERE ctid = ANY(ARRAY(SELECT ctid FROM idempotency_keys WHERE created_at < $1 ORDER BY created_at LIMIT $2))
    AND created_at < $1`);

type Key = Pick<IdempotentRequest, 'organizationId' | 'key'>;

/** Returns the responses on record. The transaction holds the locks of the keys. */
export async function loadResponses(
  session: Session,
  keys: readonly Key[],
): Promise<readonly IdempotentResponse[]> {
  if (keys.length === 0) return [];
  return find.all(session, [keys.map(({ organizationId }) => organizationId), keys.map(({ key }) => key)]);
}

export const saveResponses = (session: Session, responses: readonly IdempotentResponse[]) =>
  save.run(session, responses);

/** Returns the result of a request that ran before, or whose key another request used; null when the request has to run. */
export function findReplay<Result>(
  request: IdempotentRequest,
  response: IdempotentResponse | null,
  now: Timestamp,
): Replayable<Result | KeyReused> | null {
  const check = checkIdempotency(request, response, now);
  if (check.kind === 'reused') return { result: KEY_REUSED, isReplay: false };
  return check.kind === 'replay' ? { result: JSON.parse(check.outcome) as Result, isReplay: true } : null;
}

export function responseOf(
  { organizationId, key, fingerprint }: IdempotentRequest,
  outcome: unknown,
  now: Timestamp,
): IdempotentResponse {
  return { organizationId, key, fingerprint, createdAt: now, outcome: JSON.stringify(outcome) };
}

/**
 * Runs a request once for its Idempotency-Key, in a transaction that holds the lock of the key. A repeated request changes
 * nothing.
 * @param run returns the result, and the outcome that a repeated request gets as its result; null: a retry runs again
 */
export async function runOnce<Result>(
  tx: Transaction,
  request: IdempotentRequest | null,
  run: () => Promise<{ readonly result: Result; readonly outcome: unknown }>,
): Promise<Replayable<Result | KeyReused>> {
  if (request === null) return { result: (await run()).result, isReplay: false };
  const [response = null] = await loadResponses(tx, [request]);
  const replay = findReplay<Result>(request, response, tx.now);
  if (replay !== null) return replay;
  const { result, outcome } = await run();
  if (outcome !== null) await saveResponses(tx, [responseOf(request, outcome, tx.now)]);
  return { result, isReplay: false };
}

export function pruneIdempotencyKeys(
  session: Session,
  { before, limit }: { before: Timestamp; limit: number },
): Promise<number> {
  return prune.run(session, [before, limit]);
}
