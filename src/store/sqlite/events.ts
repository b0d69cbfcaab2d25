import { type AuditDetails, STREAMED_ACTIONS } from '../../domain/audit.ts';
import type {
  EventFilter,
  EventPage,
  EventQuery,
  EventRange,
  StreamedEvent,
} from '../../ports/event-store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { readTransaction } from './transaction.ts';

/*
 * Pages of the event stream. SQLite has one writer, so ids increase in the order of the commits, and a later commit never
 * adds a smaller id. A page reads a bounded number of entries: most of them can belong to other organizations. Parameters
 * are expressions: SQLite would compile a statement with plain parameters again after each bind.
 */

const MAX_READ_ENTRIES = 2_000;

type Values = Readonly<Record<string, string | number | null>>;
type Row = Omit<StreamedEvent, 'details'> & { readonly details: string | null };

const ACTIONS = STREAMED_ACTIONS.map((action) => `'${action}'`).join(', ');

const EVENT = `
  id, at, action, actor, actor_id AS actorId, subject_id AS subjectId, from_status AS fromStatus, to_status AS toStatus,
  reason, cancellation_id AS cancellationId, details,
  iif(action = 'call.created', (SELECT agent_id FROM calls WHERE calls.id = subject_id), NULL) AS agentId`;

const MATCHES = `
  id <= @last + 0 AND organization_id = CAST(@organizationId AS TEXT) AND action IN (${ACTIONS})
  AND (@callId IS NULL OR (subject_id = CAST(@callId AS TEXT) AND action LIKE 'call.%'))
  AND (@cancellationId IS NULL OR cancellation_id = CAST(@cancellationId AS TEXT))
  AND (@agentId IS NULL OR (action LIKE 'call.%' AND
    EXISTS (SELECT 1 FROM calls WHERE calls.id = subject_id AND agent_id = CAST(@agentId AS TEXT))))`;

/** The ways to find the entries of a filter: each reads an index in the order of the ids. */
const SOURCES = {
  all: 'audit_log WHERE id > @after + 0',
  call: 'audit_log INDEXED BY audit_log_by_subject WHERE subject_id = CAST(@callId AS TEXT) AND id > @after + 0',
  cancellation:
    'audit_log INDEXED BY audit_log_by_cancellation WHERE cancellation_id = CAST(@cancellationId AS TEXT) AND id > @after + 0',
};

const NEWEST = "coalesce((SELECT seq FROM sqlite_sequence WHERE name IN ('audit_log')), 0) AS newest";

interface RangeRow {
  readonly newest: number;
  readonly oldest: number | null;
}

const statements = preparePerConnection(({ $client: client }) => {
  const read = (source: string) => ({
    last: client.prepare<[Values], { readonly newest: number; readonly last: number | null }>(
      `SELECT ${NEWEST}, (SELECT id FROM ${source} ORDER BY id LIMIT 1 OFFSET ${MAX_READ_ENTRIES - 1}) AS last`,
    ),
    events: client.prepare<[Values], Row>(
      `SELECT ${EVENT} FROM ${source} AND ${MATCHES} ORDER BY id LIMIT (@limit + 0)`,
    ),
  });
  return {
    range: client.prepare<[], RangeRow>(`SELECT ${NEWEST}, (SELECT min(id) FROM audit_log) AS oldest`),
    /** Ids have no gaps, except those of pruned entries and those that a restore skips. */
    next: client
      .prepare<[Values], number>('SELECT id FROM audit_log WHERE id > @after + 0 ORDER BY id LIMIT 1')
      .pluck(),
    count: client
      .prepare<[Values], number>(
        'SELECT count(*) FROM audit_log WHERE id > @after + 0 AND id <= @position + 0',
      )
      .pluck(),
    all: read(SOURCES.all),
    call: read(SOURCES.call),
    cancellation: read(SOURCES.cancellation),
  };
});

function sourceOf({ callId, cancellationId }: EventFilter): keyof typeof SOURCES {
  if (callId !== undefined) return 'call';
  return cancellationId === undefined ? 'all' : 'cancellation';
}

export function listEvents(db: Database, { organizationId, filter, after, limit }: EventQuery): EventPage {
  const { agentId = null, callId = null, cancellationId = null } = filter;
  const source = statements(db)[sourceOf(filter)];
  const values = { organizationId, agentId, callId, cancellationId, after, limit };
  return readTransaction(db, () => {
    const range = source.last.get(values);
    if (range === undefined) throw new Error('the range of the audit log has no row');
    const last = range.last ?? Math.max(range.newest, after);
    const events = source.events.all({ ...values, last }).map(toEvent);
    const isFull = events.length === limit;
    const position = isFull ? (events.at(-1)?.id ?? last) : last;
    const isPruned = hasGap(db, filter, { after, position, newest: range.newest });
    return { events, position, isLast: !isFull && range.last === null, isPruned };
  });
}

/** Returns whether entries after a position are not on record any more. A filter's page can be too long to check all of it. */
function hasGap(
  db: Database,
  filter: EventFilter,
  { after, position, newest }: { after: number; position: number; newest: number },
): boolean {
  if (sourceOf(filter) === 'all') {
    return (statements(db).count.get({ after, position }) ?? 0) !== position - after;
  }
  const next = statements(db).next.get({ after }) ?? newest + 1;
  return next > after + 1;
}

export function getEventRange(db: Database): EventRange {
  return toRange(statements(db).range.get() ?? { newest: 0, oldest: null });
}

const toRange = ({ newest, oldest }: RangeRow): EventRange => ({ newest, oldest: oldest ?? newest + 1 });

function toEvent({ details, ...row }: Row): StreamedEvent {
  const parsed: AuditDetails | null = details === null ? null : JSON.parse(details);
  return { ...row, details: parsed };
}
