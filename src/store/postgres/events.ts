import { STREAMED_ACTIONS } from '../../domain/audit.ts';
import type {
  EventFilter,
  EventPage,
  EventQuery,
  EventRange,
  StreamedEvent,
} from '../../ports/event-store.ts';
import type { Database } from './database.ts';
import { prepareNamed } from './named-sql.ts';
import { readTransaction } from './read-transaction.ts';
import type { Session } from './session.ts';

/*
 * Pages of the event stream. Ids increase in the order of the commits, without gaps, and a later commit never adds a smaller
 * id: see audit.ts. A page reads a bounded number of entries: most of them can belong to other organizations.
 */

const MAX_READ_ENTRIES = 2_000;

const ACTIONS = STREAMED_ACTIONS.map((action) => `'${action}'`).join(', ');

/** The agent is a scalar subquery: for EXISTS, Postgres can read all calls of the agent. */
const AGENT = '(SELECT agent_id FROM calls WHERE calls.id = audit_log.subject_id)';

const EVENT = `
  id, at, action, actor, actor_id AS "actorId", subject_id AS "subjectId", from_status AS "fromStatus", to_status AS "toStatus",
  reason, cancellation_id AS "cancellationId", details, CASE WHEN action = 'call.created' THEN ${AGENT} END AS "agentId"`;

/** The ways to find the entries of a filter: each reads an index in the order of the ids. */
const SOURCES = {
  all: 'id > @after',
  call: 'id > @after AND subject_id = @callId::text',
  cancellation: 'id > @after AND cancellation_id = @cancellationId::text',
};

const NEWEST = '(SELECT last FROM audit_position) AS newest';

interface RangeRow {
  readonly newest: number;
  readonly oldest: number | null;
}

const range = prepareNamed<RangeRow>(`SELECT ${NEWEST}, (SELECT min(id) FROM audit_log) AS oldest`);
/** Ids have no gaps, except those of pruned entries and those that a restore skips. */
const next = prepareNamed<{ id: number }>('SELECT id FROM audit_log WHERE id > @after ORDER BY id LIMIT 1');
const count = prepareNamed<{ n: number }>(
  'SELECT count(*) AS n FROM audit_log WHERE id > @after AND id <= @position',
);

const read = (source: string) => ({
  end: prepareNamed<{ newest: number; last: number | null }>(`
    SELECT ${NEWEST},
      (SELECT id FROM audit_log WHERE ${source} ORDER BY id LIMIT 1 OFFSET ${MAX_READ_ENTRIES - 1}) AS last`),
  events: prepareNamed<StreamedEvent>(`
    SELECT ${EVENT} FROM audit_log
    WHERE ${source} AND id <= @last AND organization_id = @organizationId AND action IN (${ACTIONS})
      AND (@callId::text IS NULL OR (subject_id = @callId::text AND action LIKE 'call.%'))
      AND (@cancellationId::text IS NULL OR cancellation_id = @cancellationId::text)
      AND (@agentId::text IS NULL OR (action LIKE 'call.%' AND ${AGENT} = @agentId::text))
    ORDER BY id LIMIT @limit`),
});

const statements = {
  all: read(SOURCES.all),
  call: read(SOURCES.call),
  cancellation: read(SOURCES.cancellation),
};

function sourceOf({ callId, cancellationId }: EventFilter): keyof typeof SOURCES {
  if (callId !== undefined) return 'call';
  return cancellationId === undefined ? 'all' : 'cancellation';
}

export function listEvents(
  db: Database,
  { organizationId, filter, after, limit }: EventQuery,
): Promise<EventPage> {
  const { agentId = null, callId = null, cancellationId = null } = filter;
  const source = statements[sourceOf(filter)];
  const values = { organizationId, agentId, callId, cancellationId, after, limit };
  return readTransaction(db, async (session) => {
    const end = await source.end.get(session, values);
    if (end === undefined) throw new Error('the range of the audit log has no row');
    const last = end.last ?? Math.max(end.newest, after);
    const events = await source.events.all(session, { ...values, last });
    const isFull = events.length === limit;
    const position = isFull ? (events.at(-1)?.id ?? last) : last;
    const isPruned = await hasGap(session, filter, { after, position, newest: end.newest });
    return { events, position, isLast: !isFull && end.last === null, isPruned };
  });
}

/** Returns whether entries after a position are not on record any more. A filter's page can be too long to check all of it. */
async function hasGap(
  session: Session,
  filter: EventFilter,
  { after, position, newest }: { after: number; position: number; newest: number },
): Promise<boolean> {
  if (sourceOf(filter) === 'all') {
    return ((await count.get(session, { after, position }))?.n ?? 0) !== position - after;
  }
  const { id } = (await next.get(session, { after })) ?? { id: newest + 1 };
  return id > after + 1;
}

export async function getEventRange(session: Session): Promise<EventRange> {
  const { newest, oldest } = (await range.get(session)) ?? { newest: 0, oldest: null };
  return { newest, oldest: oldest ?? newest + 1 };
}
