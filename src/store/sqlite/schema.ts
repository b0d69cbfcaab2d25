import { type Column, sql } from 'drizzle-orm';
import { check, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { ACTIONS, ACTORS, type AuditDetails } from '../../domain/audit.ts';
import { CALL_STATUSES, DIRECTIONS, ENDED_STATUSES } from '../../domain/call-status.ts';
import {
  CANCELLATION_STATES,
  type CancellationCounts,
  type CancellationSelector,
  HOLD_STATES,
} from '../../domain/cancellation.ts';
import { PASSES } from '../../domain/fleet.ts';
import { DELETION_STATES, OPEN_DELETION_STATES } from '../../domain/room-deletion.ts';
import type { Roster } from '../../domain/roster.ts';

/*
 * After a change: `npx drizzle-kit generate --name what_changed`, then add STRICT after each new table, which drizzle-kit
 * cannot do. Times are integer milliseconds.
 * The invariants of the domain are CHECK constraints too: a bug must fail a transaction, not corrupt a record.
 */

/**
 * Returns the condition that a column has one of the values, for a constraint: SQLite builds a temporary table for an IN
 * with more than two values, at every write. Constraints are DDL, which accepts no bound parameters.
 */
const isOneOf = (column: Column, values: readonly string[]) =>
  sql`(${sql.join(
    values.map((value) => sql`${column} = ${sql.raw(`'${value}'`)}`),
    sql` OR `,
  )})`;

/*
 * The conditions of the partial indexes, literally: with bound values, SQLite cannot infer that an index has every row
 * that a query reads. By the constraints, exactly the live calls have no end, and the open deletions are not final.
 */
export const IS_LIVE = sql.raw('"calls"."ended_at" IS NULL');
export const IS_OPEN = sql.raw('"room_deletions"."finalized_at" IS NULL');
export const IS_OF_NO_CANCELLATION = sql.raw('"room_deletions"."cancellation_id" IS NULL');
export const IS_OF_CANCELLATION = sql.raw('"room_deletions"."cancellation_id" IS NOT NULL');
export const IS_RUNNING = sql.raw(`"cancellations"."state" = 'running'`);
export const HAS_ACTIVE_HOLD = sql.raw(`"cancellations"."hold_state" = 'active'`);
export const IS_INCOMPLETE = sql.raw(`"room_deletions"."state" <> 'completed'`);

/** The number of last characters of a phone number that an index has. E.164 allows 15 digits. */
export const MAX_PHONE_END = 15;
/** The last characters of a phone number, the last one first, as the migration has them in an index. */
export const REVERSED_PHONE = Array.from(
  { length: MAX_PHONE_END },
  (_, i) => `substr(phone_number, ${-1 - i}, 1)`,
).join(' || ');

export const organizations = sqliteTable('organizations', {
  id: text().primaryKey(),
  name: text().notNull().unique(),
  createdAt: integer('created_at').notNull(),
});

export const apiKeys = sqliteTable(
  'api_keys',
  {
    id: text().primaryKey(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    name: text().notNull(),
    hash: text().notNull().unique(),
    scopes: text({ mode: 'json' }).$type<string[]>().notNull(),
    createdAt: integer('created_at').notNull(),
    expiresAt: integer('expires_at'),
    revokedAt: integer('revoked_at'),
    lastUsedAt: integer('last_used_at'),
  },
  (t) => [
    check('api_keys_hash_is_sha256', sql`length(${t.hash}) = 64`),
    check('api_keys_scopes_are_a_list', sql`json_type(${t.scopes}) = 'array'`),
  ],
);

export const calls = sqliteTable(
  'calls',
  {
    id: text().primaryKey(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    status: text({ enum: CALL_STATUSES }).notNull(),
    direction: text({ enum: DIRECTIONS }).notNull(),
    phoneNumber: text('phone_number'),
    agentId: text('agent_id'),
    agentName: text('agent_name'),
    contactName: text('contact_name'),
    contactPhone: text('contact_phone'),
    contactEmail: text('contact_email'),
    roomName: text('room_name').notNull(),
    roomId: text('room_id'),
    roster: text({ mode: 'json' }).$type<Roster>(),
    reviewAt: integer('review_at'),
    /** 1: the call is live, with an unanswered phone in its room. */
    hasUnansweredPhone: integer('has_unanswered_phone').notNull().default(0),
    adoptedPrefix: text('adopted_prefix'),
    jobId: text('job_id'),
    sipParticipantId: text('sip_participant_id'),
    metadata: text({ mode: 'json' }).$type<Record<string, unknown>>().notNull(),
    failureReason: text('failure_reason'),
    cancelledBy: text('cancelled_by').references(() => apiKeys.id),
    cancelReason: text('cancel_reason'),
    /** The cancellation that cancelled the call. */
    cancellationId: text('cancellation_id').references(() => cancellations.id),
    scheduledAt: integer('scheduled_at'),
    /** 1: the call has a scheduled time. */
    isScheduled: integer('is_scheduled').generatedAlwaysAs(sql`scheduled_at IS NOT NULL`, {
      mode: 'virtual',
    }),
    startedAt: integer('started_at'),
    answeredAt: integer('answered_at'),
    endedAt: integer('ended_at'),
    createdAt: integer('created_at').notNull(),
    updatedAt: integer('updated_at').notNull(),
  },
  (t) => [
    check('calls_id_length', sql`length(${t.id}) BETWEEN 1 AND 128`),
    check('calls_status', isOneOf(t.status, CALL_STATUSES)),
    check('calls_direction', isOneOf(t.direction, DIRECTIONS)),
    // LiveKit names a room itself if its name is empty, and counts its limit in bytes.
    check('calls_room_name_bytes', sql`octet_length(${t.roomName}) BETWEEN 1 AND 256`),
    check('calls_metadata_is_an_object', sql`json_type(${t.metadata}) = 'object'`),
    check(
      'calls_ended_at_is_set_exactly_when_ended',
      sql`(${t.endedAt} IS NOT NULL) = ${isOneOf(t.status, ENDED_STATUSES)}`,
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
    // Lists: see call-list-sql.ts. Each change of status moves a call within an index. Indexes with the agent or the
    // scheduled time hold ended calls only, because their entries would move far.
    index('calls_by_created').on(t.organizationId, t.createdAt, t.id),
    index('calls_by_direction').on(t.organizationId, t.direction, t.isScheduled, t.createdAt, t.id),
    index('calls_by_agent').on(t.organizationId, t.agentId, t.direction, t.isScheduled, t.createdAt, t.id),
    index('calls_by_phone').on(t.organizationId, t.phoneNumber, t.createdAt, t.id),
    // For a search by the last digits. SQLite has no function that reverses a text.
    index('calls_by_phone_end')
      .on(t.organizationId, sql.raw(REVERSED_PHONE), t.createdAt, t.id)
      .where(sql`${t.phoneNumber} IS NOT NULL`),
    index('calls_by_status').on(
      t.organizationId,
      t.status,
      t.direction,
      t.isScheduled,
      t.createdAt,
      t.id,
      t.agentId,
    ),
    index('ended_calls_by_agent')
      .on(t.organizationId, t.agentId, t.status, t.direction, t.isScheduled, t.createdAt, t.id)
      .where(sql`${t.endedAt} IS NOT NULL`),
    index('scheduled_calls')
      .on(t.organizationId, t.direction, t.scheduledAt, t.createdAt, t.id)
      .where(sql`${t.scheduledAt} IS NOT NULL`),
    index('live_scheduled_calls')
      .on(t.organizationId, t.direction, t.scheduledAt, t.createdAt, t.id, t.status, t.agentId)
      .where(sql`${t.scheduledAt} IS NOT NULL AND ${t.endedAt} IS NULL`),
    index('ended_scheduled_calls')
      .on(t.organizationId, t.status, t.direction, t.scheduledAt, t.createdAt, t.id)
      .where(sql`${t.scheduledAt} IS NOT NULL AND ${t.endedAt} IS NOT NULL`),
    index('ended_scheduled_calls_by_agent')
      .on(t.organizationId, t.agentId, t.status, t.direction, t.scheduledAt, t.createdAt, t.id)
      .where(sql`${t.scheduledAt} IS NOT NULL AND ${t.endedAt} IS NOT NULL`),
  ],
);

/**
 * The days of scheduled times, each with the creation times of its calls. A list by scheduled time skips the days on which
 * no call was created between two dates. Triggers of migration 0008 write the rows. Pruning does not narrow them.
 */
export const scheduledDays = sqliteTable(
  'scheduled_days',
  {
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    /** Days since 1970 (UTC). */
    day: integer().notNull(),
    firstCreatedAt: integer('first_created_at').notNull(),
    lastCreatedAt: integer('last_created_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.organizationId, t.day] })],
);

export const roomDeletions = sqliteTable(
  'room_deletions',
  {
    callId: text('call_id')
      .primaryKey()
      .references(() => calls.id),
    roomName: text('room_name').notNull(),
    state: text({ enum: DELETION_STATES }).notNull(),
    attempt: integer().notNull(),
    scheduledAt: integer('scheduled_at').notNull(),
    attemptedAt: integer('attempted_at'),
    finalizedAt: integer('finalized_at'),
    lastError: text('last_error'),
    createdAt: integer('created_at').notNull(),
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
      sql`(${t.finalizedAt} IS NULL) = ${isOneOf(t.state, OPEN_DELETION_STATES)}`,
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
    // Lists of deletions, oldest first.
    index('room_deletions_incomplete_by_created')
      .on(t.createdAt, t.callId)
      .where(sql`${t.state} <> 'completed'`),
    // A new call cannot have the room's name while a deletion of that name is not complete.
    uniqueIndex('room_deletions_incomplete_room_name').on(t.roomName).where(sql`${t.state} <> 'completed'`),
  ],
);

/** Append-only. */
export const auditLog = sqliteTable(
  'audit_log',
  {
    id: integer().primaryKey({ autoIncrement: true }),
    at: integer().notNull(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    action: text({ enum: ACTIONS }).notNull(),
    actor: text({ enum: ACTORS }).notNull(),
    /** Id of the API key or of LiveKit's event. */
    actorId: text('actor_id'),
    /** Id of the call or the API key, or the adoption prefix. */
    subjectId: text('subject_id').notNull(),
    fromStatus: text('from_status', { enum: CALL_STATUSES }),
    toStatus: text('to_status', { enum: CALL_STATUSES }),
    reason: text(),
    /** The cancellation that caused the event. */
    cancellationId: text('cancellation_id'),
    details: text({ mode: 'json' }).$type<AuditDetails>(),
  },
  (t) => [
    check('audit_log_actor', isOneOf(t.actor, ACTORS)),
    check('audit_log_details_are_an_object', sql`${t.details} IS NULL OR json_type(${t.details}) = 'object'`),
    index('audit_log_by_cancellation').on(t.cancellationId, t.id).where(sql`${t.cancellationId} IS NOT NULL`),
    index('audit_log_by_subject').on(t.subjectId, t.id),
  ],
);

/** Requests to cancel all matching calls. */
export const cancellations = sqliteTable(
  'cancellations',
  {
    id: text().primaryKey(),
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    state: text({ enum: CANCELLATION_STATES }).notNull(),
    reason: text().notNull(),
    createdBy: text('created_by')
      .notNull()
      .references(() => apiKeys.id),
    createdAt: integer('created_at').notNull(),
    completedAt: integer('completed_at'),
    selector: text({ mode: 'json' }).$type<CancellationSelector>().notNull(),
    /** Null: without a hold. */
    holdState: text('hold_state', { enum: HOLD_STATES }),
    holdLiftedAt: integer('hold_lifted_at'),
    holdLiftedBy: text('hold_lifted_by').references(() => apiKeys.id),
    /** The progress through the selector's call ids: the phase, and the number of ids that it has passed. */
    phase: integer().notNull().default(0),
    position: integer().notNull().default(0),
    alreadyEnded: integer('already_ended').notNull().default(0),
    notFound: integer('not_found').notNull().default(0),
    /** The counts in the last progress event; final when the cancellation is completed. */
    reportedCounts: text('reported_counts', { mode: 'json' }).$type<CancellationCounts>().notNull(),
    reportedAt: integer('reported_at').notNull(),
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
    check('cancellations_selector_is_an_object', sql`json_type(${t.selector}) = 'object'`),
    index('cancellations_by_created').on(t.organizationId, t.createdAt, t.id),
    index('cancellations_running').on(t.createdAt).where(sql`${t.state} = 'running'`),
    index('cancellations_with_active_hold').on(t.organizationId).where(sql`${t.holdState} = 'active'`),
  ],
);

/** The first response to a request with an Idempotency-Key, written in the transaction of the request. */
export const idempotencyKeys = sqliteTable(
  'idempotency_keys',
  {
    organizationId: text('organization_id')
      .notNull()
      .references(() => organizations.id),
    key: text().notNull(),
    fingerprint: text().notNull(),
    createdAt: integer('created_at').notNull(),
    /** The result of the request as JSON. A repeated request gets the same response, made from this result. */
    outcome: text().notNull().default('{}'),
  },
  (t) => [
    primaryKey({ columns: [t.organizationId, t.key] }),
    index('idempotency_keys_by_created').on(t.createdAt),
  ],
);

/** Ids of LiveKit's events, each written in the transaction that applied the event. */
export const livekitEvents = sqliteTable(
  'livekit_events',
  {
    id: text().primaryKey(),
    receivedAt: integer('received_at').notNull(),
  },
  (t) => [index('livekit_events_by_received').on(t.receivedAt)],
);

/** A room whose name begins with a prefix becomes a call of its organization. The longest prefix wins. */
export const adoptionPrefixes = sqliteTable('adoption_prefixes', {
  prefix: text().primaryKey(),
  organizationId: text('organization_id')
    .notNull()
    .references(() => organizations.id),
  createdAt: integer('created_at').notNull(),
});

/** The LiveKit servers that this database was used with. The built-in emulator is never recorded, and refuses such a database. */
export const livekitServers = sqliteTable('livekit_servers', {
  url: text().primaryKey(),
  firstServedAt: integer('first_served_at').notNull(),
  lastServedAt: integer('last_served_at').notNull().default(0),
});

/** The members of the fleet: the processes that serve this database. */
export const fleetMembers = sqliteTable('fleet_members', {
  id: text().primaryKey(),
  expiresAt: integer('expires_at').notNull(),
  rateDivisor: integer('rate_divisor'),
});

/** The passes that one member of the fleet runs at a time. */
export const passLeases = sqliteTable('pass_leases', {
  pass: text({ enum: PASSES }).primaryKey(),
  holder: text(),
  fence: integer().notNull(),
});
