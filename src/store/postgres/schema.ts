import { type Column, type SQL, sql } from 'drizzle-orm';
import {
  bigint,
  check,
  customType,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  smallint,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { ACTORS, type Action, type Actor, type AuditDetails } from '../../domain/audit.ts';
import {
  CALL_STATUSES,
  type CallStatus,
  DIRECTIONS,
  type Direction,
  ENDED_STATUSES,
} from '../../domain/call-status.ts';
import {
  CANCELLATION_STATES,
  type CancellationCounts,
  type CancellationSelector,
  type CancellationState,
  HOLD_STATES,
  type Hold,
} from '../../domain/cancellation.ts';
import type { Pass } from '../../domain/fleet.ts';
import { DELETION_STATES, type DeletionState, OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { Roster } from '../../domain/roster.ts';

/*
 * After a change: `npx drizzle-kit generate --config drizzle.postgres.config.ts --name what_changed`.
 * Times are integer milliseconds. JSON is `json`, never `jsonb`, which changes the order of keys and refuses \u0000.
 * The invariants of the domain are CHECK constraints too: a bug must fail a transaction, not corrupt a record.
 */

/** A text in the order of its bytes, as in SQLite: the order of the database's own language can change with its version. */
const text = <Value extends string = string>(name?: string) => {
  const type = customType<{ data: Value }>({ dataType: () => 'text COLLATE "C"' });
  return name === undefined ? type() : type(name);
};
const time = (name: string) => bigint(name, { mode: 'number' });

/** Returns the condition that a column has one of the values. Constraints are DDL, which accepts no bound parameters. */
const isOneOf = (column: Column, values: readonly string[]) =>
  sql`${column} IN (${sql.raw(values.map((value) => `'${value}'`).join(', '))})`;
const isObject = (column: Column | SQL) => sql`json_typeof(${column}) = 'object'`;

/*
 * The conditions of the partial indexes, literally: with bound values, Postgres cannot infer that an index has every row that
 * a query reads. By the constraints, exactly the live calls have no end, and the open deletions are not final.
 */
export const IS_OPEN = sql.raw('"room_deletions"."finalized_at" IS NULL');
export const IS_INCOMPLETE = sql.raw(`"room_deletions"."state" <> 'completed'`);

export const organizations = pgTable('organizations', {
  id: text().primaryKey(),
  name: text().notNull().unique(),
  createdAt: time('created_at').notNull(),
});

export const apiKeys = pgTable(
  'api_keys',
  {
    id: text().primaryKey(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    name: text().notNull(),
    hash: text().notNull().unique(),
    scopes: json().$type<string[]>().notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at'),
    revokedAt: time('revoked_at'),
    lastUsedAt: time('last_used_at'),
  },
  (t) => [
    check('api_keys_hash_is_sha256', sql`length(${t.hash}) = 64`),
    check('api_keys_scopes_are_a_list', sql`json_typeof(${t.scopes}) = 'array'`),
  ],
);

export const calls = pgTable(
  'calls',
  {
    id: text().primaryKey(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    status: text<CallStatus>().notNull(),
    direction: text<Direction>().notNull(),
    phoneNumber: text('phone_number'),
    agentId: text('agent_id'),
    agentName: text('agent_name'),
    contactName: text('contact_name'),
    contactPhone: text('contact_phone'),
    contactEmail: text('contact_email'),
    roomName: text('room_name').notNull(),
    roomId: text('room_id'),
    roster: json().$type<Roster>(),
    reviewAt: time('review_at'),
    /** 1: the call is live, with an unanswered phone in its room. */
    hasUnansweredPhone: smallint('has_unanswered_phone').notNull().default(0),
    adoptedPrefix: text('adopted_prefix'),
    jobId: text('job_id'),
    sipParticipantId: text('sip_participant_id'),
    metadata: json().$type<Record<string, unknown>>().notNull(),
    failureReason: text('failure_reason'),
    cancelledBy: text('cancelled_by').references(() => apiKeys.id),
    cancelReason: text('cancel_reason'),
    /** The cancellation that cancelled the call. */
    cancellationId: text('cancellation_id').references(() => cancellations.id),
    scheduledAt: time('scheduled_at'),
    /** The key of lists by scheduled time: a call without one sorts as 0. */
    scheduledOrder: time('scheduled_order').generatedAlwaysAs(sql`coalesce(scheduled_at, 0)`),
    startedAt: time('started_at'),
    answeredAt: time('answered_at'),
    endedAt: time('ended_at'),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  (t) => [
    check('calls_id_length', sql`length(${t.id}) BETWEEN 1 AND 128`),
    check('calls_status', isOneOf(t.status, CALL_STATUSES)),
    check('calls_direction', isOneOf(t.direction, DIRECTIONS)),
    // LiveKit names a room itself if its name is empty, and counts its limit in bytes.
    check('calls_room_name_bytes', sql`octet_length(${t.roomName}) BETWEEN 1 AND 256`),
    check('calls_metadata_is_an_object', isObject(t.metadata)),
    check(
      'calls_ended_at_is_set_exactly_when_ended',
      sql`(${t.endedAt} IS NOT NULL) = (${isOneOf(t.status, ENDED_STATUSES)})`,
    ),
    check('calls_end_is_not_before_start', sql`${t.endedAt} IS NULL OR ${t.endedAt} >= ${t.createdAt}`),
    check(
      'calls_only_a_cancelled_call_has_a_canceller',
      sql`${t.status} = 'cancelled' OR (${t.cancelledBy} IS NULL AND ${t.cancelReason} IS NULL)`,
    ),
    index('calls_by_cancellation')
      .on(t.cancellationId, t.createdAt, t.id)
      .where(sql`${t.cancellationId} IS NOT NULL`),
    // LiveKit identifies a room by its name, so two live calls in one room would end each other.
    uniqueIndex('calls_live_room_name').on(t.roomName).where(sql`${t.endedAt} IS NULL`),
    index('calls_by_end').on(t.endedAt).where(sql`${t.endedAt} IS NOT NULL`),
    // Read every second.
    index('calls_with_unanswered_phone').on(t.id).where(sql`${t.hasUnansweredPhone} = 1`),
    index('calls_by_review').on(t.reviewAt).where(sql`${t.reviewAt} IS NOT NULL`),
    index('calls_by_room').on(t.roomName, t.createdAt, t.id),
    // Lists: see call-list-sql.ts. A change of a call writes each index again, so there are few of them.
    index('calls_by_created').on(t.organizationId, t.createdAt, t.id),
    index('calls_by_status').on(t.organizationId, t.status, t.direction, t.createdAt, t.id),
    index('calls_by_scheduled').on(
      t.organizationId,
      t.status,
      t.direction,
      t.scheduledOrder,
      t.createdAt,
      t.id,
    ),
    index('calls_by_agent')
      .on(t.organizationId, t.agentId, t.status, t.direction, t.createdAt, t.id)
      .where(sql`${t.agentId} IS NOT NULL`),
    index('calls_by_agent_and_scheduled')
      .on(t.organizationId, t.agentId, t.status, t.direction, t.scheduledOrder, t.createdAt, t.id)
      .where(sql`${t.agentId} IS NOT NULL`),
    index('calls_by_phone')
      .on(t.organizationId, t.phoneNumber, t.createdAt, t.id)
      .where(sql`${t.phoneNumber} IS NOT NULL`),
    index('calls_by_phone_end')
      .on(t.organizationId, sql`reverse(${t.phoneNumber})`, t.createdAt, t.id)
      .where(sql`${t.phoneNumber} IS NOT NULL`),
  ],
);

/**
 * The days of scheduled times, each with the creation times of its calls in full hours. A list by scheduled time skips the
 * days on which no call was created between two dates. A trigger writes the rows. Pruning does not narrow them.
 */
export const scheduledDays = pgTable(
  'scheduled_days',
  {
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    /** Days since 1970 (UTC). */
    day: integer().notNull(),
    firstCreatedAt: time('first_created_at').notNull(),
    lastCreatedAt: time('last_created_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.organizationId, t.day] })],
);

export const roomDeletions = pgTable(
  'room_deletions',
  {
    callId: text('call_id')
      .primaryKey()
      .references(() => calls.id),
    roomName: text('room_name').notNull(),
    state: text<DeletionState>().notNull(),
    attempt: integer().notNull(),
    scheduledAt: time('scheduled_at').notNull(),
    attemptedAt: time('attempted_at'),
    finalizedAt: time('finalized_at'),
    lastError: text('last_error'),
    createdAt: time('created_at').notNull(),
    /** The cancellation that cancelled the call: its deletions are claimed first, and counted. */
    cancellationId: text('cancellation_id'),
  },
  (t) => [
    check('room_deletions_state', isOneOf(t.state, DELETION_STATES)),
    check('room_deletions_attempt', sql`${t.attempt} >= 0`),
    check(
      'room_deletions_running_is_an_attempt',
      sql`${t.state} IN ('available', 'discarded') OR (${t.attempt} >= 1 AND ${t.attemptedAt} IS NOT NULL)`,
    ),
    check(
      'room_deletions_finalized_at_is_set_exactly_when_final',
      sql`(${t.finalizedAt} IS NULL) = (${isOneOf(t.state, OPEN_DELETION_STATES)})`,
    ),
    index('room_deletions_due').on(t.scheduledAt).where(sql`${t.finalizedAt} IS NULL`),
    index('room_deletions_due_of_cancellations')
      .on(t.scheduledAt)
      .where(sql`${t.finalizedAt} IS NULL AND ${t.cancellationId} IS NOT NULL`),
    index('room_deletions_due_of_others')
      .on(t.scheduledAt)
      .where(sql`${t.finalizedAt} IS NULL AND ${t.cancellationId} IS NULL`),
    index('room_deletions_by_cancellation')
      .on(t.cancellationId, t.state)
      .where(sql`${t.cancellationId} IS NOT NULL`),
    index('room_deletions_incomplete_by_created')
      .on(t.createdAt, t.callId)
      .where(sql`${t.state} <> 'completed'`),
    // A new call cannot have the room's name while a deletion of that name is not complete.
    uniqueIndex('room_deletions_incomplete_room_name').on(t.roomName).where(sql`${t.state} <> 'completed'`),
  ],
);

/** Append-only. Only transaction.ts appends, with ids after the position. */
export const auditLog = pgTable(
  'audit_log',
  {
    id: bigint({ mode: 'number' }).primaryKey(),
    at: time('at').notNull(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    action: text<Action>().notNull(),
    actor: text<Actor>().notNull(),
    /** Id of the API key or of LiveKit's event. */
    actorId: text('actor_id'),
    /** Id of the call or the API key, or the adoption prefix. */
    subjectId: text('subject_id').notNull(),
    fromStatus: text<CallStatus>('from_status'),
    toStatus: text<CallStatus>('to_status'),
    reason: text(),
    /** The cancellation that caused the event. */
    cancellationId: text('cancellation_id'),
    details: json().$type<AuditDetails>(),
  },
  (t) => [
    check('audit_log_actor', isOneOf(t.actor, ACTORS)),
    check('audit_log_details_are_an_object', sql`${t.details} IS NULL OR ${isObject(t.details)}`),
    index('audit_log_by_cancellation').on(t.cancellationId, t.id).where(sql`${t.cancellationId} IS NOT NULL`),
    index('audit_log_by_subject').on(t.subjectId, t.id),
  ],
);

/**
 * One row: the id of the newest entry of the audit log, also after pruning. Its lock is held until the commit, so that ids
 * are in the order of the commits.
 */
export const auditPosition = pgTable(
  'audit_position',
  {
    id: smallint().primaryKey().default(1),
    last: bigint({ mode: 'number' }).notNull().default(0),
  },
  (t) => [check('audit_position_has_one_row', sql`${t.id} = 1`)],
);

/** Requests to cancel all matching calls. */
export const cancellations = pgTable(
  'cancellations',
  {
    id: text().primaryKey(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    state: text<CancellationState>().notNull(),
    reason: text().notNull(),
    createdBy: text('created_by')
      .notNull()
      .references(() => apiKeys.id),
    createdAt: time('created_at').notNull(),
    completedAt: time('completed_at'),
    selector: json().$type<CancellationSelector>().notNull(),
    /** Null: without a hold. */
    holdState: text<Hold['state']>('hold_state'),
    holdLiftedAt: time('hold_lifted_at'),
    holdLiftedBy: text('hold_lifted_by').references(() => apiKeys.id),
    /** The progress through the selector's call ids: the phase, and the number of ids that it has passed. */
    phase: integer().notNull().default(0),
    position: integer().notNull().default(0),
    alreadyEnded: integer('already_ended').notNull().default(0),
    notFound: integer('not_found').notNull().default(0),
    /** The counts in the last progress event; final when the cancellation is completed. */
    reportedCounts: json('reported_counts').$type<CancellationCounts>().notNull(),
    reportedAt: time('reported_at').notNull(),
  },
  (t) => [
    check('cancellations_state', isOneOf(t.state, CANCELLATION_STATES)),
    check(
      'cancellations_completed_at_is_set_exactly_when_completed',
      sql`(${t.completedAt} IS NOT NULL) = (${t.state} = 'completed')`,
    ),
    check('cancellations_hold_state', sql`${t.holdState} IS NULL OR ${isOneOf(t.holdState, HOLD_STATES)}`),
    check(
      'cancellations_hold_is_lifted_at_a_time',
      sql`(${t.holdLiftedAt} IS NOT NULL) = (${t.holdState} IS NOT NULL AND ${t.holdState} = 'lifted')`,
    ),
    check('cancellations_selector_is_an_object', isObject(t.selector)),
    index('cancellations_by_created').on(t.organizationId, t.createdAt, t.id),
    index('cancellations_running').on(t.createdAt).where(sql`${t.state} = 'running'`),
    index('cancellations_with_active_hold').on(t.organizationId).where(sql`${t.holdState} = 'active'`),
  ],
);

/** The first response to a request with an Idempotency-Key, written in the transaction of the request. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    key: text().notNull(),
    fingerprint: text().notNull(),
    createdAt: time('created_at').notNull(),
    /** The result of the request as JSON. A repeated request gets the same response, made from this result. */
    outcome: text().notNull().default('{}'),
  },
  (t) => [
    primaryKey({ columns: [t.organizationId, t.key] }),
    index('idempotency_keys_by_created').on(t.createdAt),
  ],
);

/** Ids of LiveKit's events, each written in the transaction that applied the event. */
export const livekitEvents = pgTable(
  'livekit_events',
  {
    id: text().primaryKey(),
    receivedAt: time('received_at').notNull(),
  },
  (t) => [index('livekit_events_by_received').on(t.receivedAt)],
);

/** A room whose name begins with a prefix becomes a call of its organization. The longest prefix wins. */
export const adoptionPrefixes = pgTable('adoption_prefixes', {
  prefix: text().primaryKey(),
  organizationId: text('organization_id')
    .notNull()
    .references(() => organizations.id),
  createdAt: time('created_at').notNull(),
});

/** The LiveKit servers that this database was used with. The built-in emulator is never recorded, and refuses such a database. */
export const livekitServers = pgTable('livekit_servers', {
  url: text().primaryKey(),
  firstServedAt: time('first_served_at').notNull(),
  lastServedAt: time('last_served_at').notNull().default(0),
});

/** The members of the fleet: the processes that serve this database. */
export const fleetMembers = pgTable('fleet_members', {
  id: text().primaryKey(),
  expiresAt: time('expires_at').notNull(),
  rateDivisor: integer('rate_divisor'),
});

/** The passes that one member of the fleet runs at a time. */
export const passLeases = pgTable('pass_leases', {
  pass: text<Pass>().primaryKey(),
  holder: text(),
  fence: integer().notNull(),
});

/** Requests of API keys and addresses in their current windows. The migration makes this table UNLOGGED: no count outlives a crash. */
export const rateLimits = pgTable(
  'rate_limits',
  {
    /** The policy and the key. */
    key: text().primaryKey(),
    points: integer().notNull(),
    expire: time('expire').notNull(),
  },
  (t) => [index('rate_limits_by_expire').on(t.expire)],
);
