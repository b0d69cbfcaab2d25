import fc from 'fast-check';
import type { PhoneAttributes, Role, RoomEventPayload } from '../../src/domain/room-event.ts';

/*
 * A reference model of a room: the participants, LiveKit's webhooks and lists, and the end of the call. Shares no code with
 * src: the model reads complete connections, and src reads events.
 */

export const DEPARTURE_TIMEOUT_MS = 20_000;
const EMPTY_TIMEOUT_MS = 300_000;

export type Kind = 'person' | 'agent' | 'outbound' | 'inbound' | 'connector' | 'recorder' | 'stream';

/** The delivery of a webhook. A lost webhook is never sent. */
export interface Delivery {
  readonly isLost: boolean;
  readonly delayMs: number;
  readonly repeatAfterMs: number | null;
}

export interface Move {
  readonly actor: number;
  readonly action: 'leave' | 'replace' | 'migrate' | 'audio' | 'ring' | 'answer' | 'automation' | 'abort';
  readonly afterMs: number;
  readonly reason: string;
  readonly delivery: Delivery;
}

export interface History {
  readonly kinds: readonly Kind[];
  readonly moves: readonly Move[];
}

/** One connection of a participant, from its join to its end. */
export interface Connection {
  readonly sid: string;
  readonly identity: string;
  readonly kind: Kind;
  readonly from: number;
  until: number;
  reason: string | null;
  isAborted: boolean;
  answeredAt: number | null;
  hasRung: boolean;
  callStatus: string;
  hasAudio: boolean;
  /** When hangup received the first webhook about the participant. */
  noticedAt: number;
  /** When hangup received the webhook of the departure; Infinity: never. */
  leaveReceivedAt: number;
}

export interface SentWebhook {
  readonly id: string;
  readonly at: number;
  readonly arrivesAt: number;
  readonly payload: RoomEventPayload;
}

export interface Room {
  readonly connections: readonly Connection[];
  readonly webhooks: readonly SentWebhook[];
  /** When a status changed without a webhook. */
  readonly silentChanges: readonly number[];
  readonly finishedAt: number;
  readonly lastMoveAt: number;
  /** Returns the participants in LiveKit's list at a moment. */
  list(at: number): readonly Snapshot[];
}

export interface Snapshot {
  readonly connection: Connection;
  readonly callStatus: string;
  readonly isAnswered: boolean;
}

const isPhone = ({ kind }: { kind: Kind }) =>
  kind === 'outbound' || kind === 'inbound' || kind === 'connector';
const isParty = (connection: { kind: Kind }) => isPhone(connection) || connection.kind === 'person';
/** LiveKit closes a room that only agents and recorders are in. */
const keepsRoomOpen = ({ kind }: { kind: Kind }) => kind !== 'agent' && kind !== 'recorder';

const ROLES: Readonly<Record<Kind, Role>> = {
  person: 'person',
  agent: 'agent',
  outbound: 'phone',
  inbound: 'phone',
  connector: 'phone',
  recorder: 'recorder',
  stream: 'other',
};

export function participantOf(
  { sid, identity, kind, from }: Connection,
  callStatus: string,
  isAnswered: boolean,
) {
  const phone: PhoneAttributes | null = isPhone({ kind })
    ? {
        via: kind === 'connector' ? 'connector' : 'sip',
        callStatus: kind === 'connector' ? null : callStatus,
        callTag: kind === 'inbound' || (kind === 'outbound' && isAnswered) ? 'tag' : null,
        callId: `SCL_${sid}`,
        phoneNumber: '+15557770001',
        trunkPhoneNumber: '+15550002',
        trunkId: 'ST_1',
        ruleId: kind === 'inbound' ? 'SDR_1' : null,
      }
    : null;
  return { sid, identity, role: ROLES[kind], phone, joinedAt: from };
}

/** Applies the moves to an empty room and returns its connections, its webhooks and its end. */
export function playRoom({ kinds, moves }: History): Room {
  const connections: Connection[] = [];
  const webhooks: SentWebhook[] = [];
  const silentChanges: number[] = [];
  const statuses: { at: number; connection: Connection; callStatus: string }[] = [];
  const presentAt = (at: number) => connections.filter(({ from, until }) => from <= at && at < until);
  let lastArrival = 0;
  const send = (
    payload: RoomEventPayload,
    at: number,
    { isLost, delayMs, repeatAfterMs }: Delivery,
  ): number => {
    const id = `EV_${webhooks.length}`;
    if (isLost) return Number.POSITIVE_INFINITY;
    // Webhooks of a room arrive in the order in which LiveKit sends them.
    lastArrival = Math.max(lastArrival, at + delayMs);
    webhooks.push({ id, at, arrivesAt: lastArrival, payload });
    if (repeatAfterMs !== null) webhooks.push({ id, at, arrivesAt: lastArrival + repeatAfterMs, payload });
    return lastArrival;
  };
  const prompt: Delivery = { isLost: false, delayMs: 0, repeatAfterMs: null };
  const setStatus = (connection: Connection, callStatus: string, at: number) => {
    connection.callStatus = callStatus;
    statuses.push({ at, connection, callStatus });
    silentChanges.push(at);
  };
  const answerInbound = (at: number) => {
    const hasOtherAudio = (phone: Connection) =>
      presentAt(at).some(
        (other) => (other.kind === 'agent' || other.kind === 'person') && other.hasAudio && other !== phone,
      );
    for (const phone of presentAt(at)) {
      if (phone.kind !== 'inbound' || phone.answeredAt !== null || !hasOtherAudio(phone)) continue;
      phone.answeredAt = at;
      setStatus(phone, 'active', at);
    }
  };
  const join = (actor: number, kind: Kind, at: number, delivery: Delivery) => {
    const connection: Connection = {
      sid: `PA_${connections.length}`,
      identity: `${kind}-${actor}`,
      kind,
      from: at,
      until: Number.POSITIVE_INFINITY,
      reason: null,
      isAborted: false,
      answeredAt: kind === 'connector' ? at : null,
      hasRung: kind === 'inbound',
      callStatus: kind === 'inbound' ? 'ringing' : 'dialing',
      hasAudio: false,
      noticedAt: Number.POSITIVE_INFINITY,
      leaveReceivedAt: Number.POSITIVE_INFINITY,
    };
    connections.push(connection);
    statuses.push({ at, connection, callStatus: connection.callStatus });
    const participant = participantOf(connection, connection.callStatus, false);
    connection.noticedAt = send({ kind: 'participant_joined', participant }, at, delivery);
    answerInbound(at);
  };
  const leave = (
    connection: Connection,
    at: number,
    reason: string,
    delivery: Delivery,
    isAborted = false,
  ) => {
    connection.until = at;
    connection.reason = reason;
    connection.isAborted = isAborted;
    const participant = participantOf(connection, 'hangup', connection.answeredAt !== null);
    const kind = isAborted ? 'participant_connection_aborted' : 'participant_left';
    connection.leaveReceivedAt = send({ kind, participant, reason }, at, delivery);
    connection.noticedAt = Math.min(connection.noticedAt, connection.leaveReceivedAt);
  };

  let now = 0;
  let emptySince = 0;
  let wasEverKeptOpen = false;
  let finishedAt = Number.POSITIVE_INFINITY;
  const closesAt = () => {
    if (presentAt(now).some(keepsRoomOpen)) return Number.POSITIVE_INFINITY;
    return emptySince + (wasEverKeptOpen ? DEPARTURE_TIMEOUT_MS : EMPTY_TIMEOUT_MS);
  };
  const finish = (at: number, delivery: Delivery) => {
    finishedAt = at;
    for (const connection of presentAt(at)) leave(connection, at, 'ROOM_CLOSED', delivery);
    send({ kind: 'room_finished' }, at, delivery);
  };
  send({ kind: 'room_started' }, 0, moves[0]?.delivery ?? prompt);
  for (const { actor, action, afterMs, reason, delivery } of moves) {
    if (now + afterMs >= closesAt()) break;
    now += afterMs;
    const kind = kinds[actor % kinds.length] ?? 'person';
    const connection = presentAt(now).find(({ identity }) => identity === `${kind}-${actor % kinds.length}`);
    const wasKeptOpen = presentAt(now).some(keepsRoomOpen);
    if (connection === undefined && action === 'abort') {
      // LiveKit lists a connecting participant, and sends an abort instead of a join.
      join(actor % kinds.length, kind, now, { ...delivery, isLost: true });
      const connecting = connections.at(-1);
      now += 1;
      if (connecting !== undefined) leave(connecting, now, 'JOIN_FAILURE', delivery, true);
    } else if (connection === undefined) join(actor % kinds.length, kind, now, delivery);
    else if (action === 'leave' || action === 'abort') leave(connection, now, reason, delivery);
    else if (action === 'migrate') {
      const participant = participantOf(connection, connection.callStatus, connection.answeredAt !== null);
      send({ kind: 'participant_left', participant, reason: 'MIGRATION' }, now, delivery);
    } else if (action === 'replace') {
      leave(connection, now, 'DUPLICATE_IDENTITY', delivery);
      now += 1;
      join(actor % kinds.length, kind, now, delivery);
    } else if (action === 'audio') {
      connection.hasAudio = true;
      send({ kind: 'audio_published', participantSid: connection.sid }, now, delivery);
      answerInbound(now);
    } else if (connection.kind === 'outbound' && connection.answeredAt === null) {
      if (action === 'ring') {
        connection.hasRung = true;
        setStatus(connection, 'ringing', now);
      } else {
        connection.answeredAt = now;
        setStatus(connection, action === 'answer' ? 'active' : 'automation', now);
      }
    }
    const isKeptOpen = presentAt(now).some(keepsRoomOpen);
    wasEverKeptOpen ||= isKeptOpen;
    if (!isKeptOpen && wasKeptOpen) emptySince = now;
  }
  if (closesAt() < Number.POSITIVE_INFINITY) finish(closesAt(), moves.at(-1)?.delivery ?? prompt);
  return {
    connections,
    webhooks: webhooks.toSorted((a, b) => a.arrivesAt - b.arrivesAt),
    silentChanges,
    finishedAt,
    lastMoveAt: now,
    list: (at) =>
      presentAt(at).map((connection) => ({
        connection,
        callStatus:
          statuses.findLast((status) => status.connection === connection && status.at <= at)?.callStatus ??
          'dialing',
        isAnswered: connection.answeredAt !== null && connection.answeredAt <= at,
      })),
  };
}

/** Returns the number of parties at a moment: phones, also ringing ones, and people. */
export function partiesAt({ connections }: Pick<Room, 'connections'>, at: number): number {
  return connections.filter(
    (connection) => isParty(connection) && connection.from <= at && at < connection.until,
  ).length;
}

export interface GracePeriods {
  readonly agentLeftGraceMs: number;
  readonly reconnectGraceMs: number;
}

const CONNECTION_LOSSES = [
  'SERVER_SHUTDOWN',
  'SIGNAL_CLOSE',
  'CONNECTION_TIMEOUT',
  'STATE_MISMATCH',
  'MEDIA_FAILURE',
  'JOIN_FAILURE',
];

/** Returns whether the call is over at a moment, by rule 6 and the connections until this moment. */
export function isOver(
  { connections, finishedAt }: Pick<Room, 'connections' | 'finishedAt'>,
  at: number,
  { agentLeftGraceMs, reconnectGraceMs }: GracePeriods,
): boolean {
  if (at >= finishedAt) return true;
  const joined = connections.filter((connection) => connection.from <= at && !hasNeverJoined(connection, at));
  const present = joined.filter(({ until }) => at < until);
  const departed = joined.filter(({ until }) => until <= at);
  if (present.filter(isParty).length >= 2) return false;
  const isRecent = ({ until }: Connection) => at < until + reconnectGraceMs;
  const people = present.filter(({ kind }) => kind === 'person');
  const isBack = ({ identity }: Connection) => people.some((person) => person.identity === identity);
  const away = departed.filter(
    (connection) => connection.kind === 'person' && isRecent(connection) && !isBack(connection),
  );
  const peopleAway = new Set(away.map(({ identity }) => identity)).size;
  const agents = present.filter(({ kind }) => kind === 'agent');
  const phones = joined.filter(isPhone);
  const [phone] = present.filter(isPhone);
  if (phone !== undefined) {
    if (agents.length > 0) return false;
    const company = joined.filter(
      (connection) =>
        (connection !== phone && isAnswered(connection, at)) ||
        connection.kind === 'agent' ||
        connection.kind === 'person',
    );
    const others = departed.filter((connection) => connection.kind === 'agent' || isParty(connection));
    const aloneSince = Math.max(phone.from, ...others.map(({ until }) => until));
    if (company.length > 0) return at >= aloneSince + agentLeftGraceMs;
    const waits = phone.kind === 'inbound' || !isAnswered(phone, at);
    return !waits && at >= (phone.answeredAt ?? at) + 10 * agentLeftGraceMs;
  }
  if (phones.length > 0) {
    const first = Math.min(...phones.map(({ from }) => from));
    const areGuests = conversationStart(joined) < first;
    const lastPhoneLeft = Math.max(...phones.map(({ until }) => until));
    const hasRemainingPerson =
      people.length > 0 ||
      departed.some((connection) => connection.kind === 'person' && connection.until > lastPhoneLeft);
    const isLost = (connection: Connection) =>
      isRecent(connection) &&
      !connection.isAborted &&
      (connection.reason === 'DUPLICATE_IDENTITY' ||
        (!isAnswered(connection, at) &&
          connection.reason !== null &&
          CONNECTION_LOSSES.includes(connection.reason)));
    if (!areGuests || !hasRemainingPerson) {
      if (phones.some(isLost) || (areGuests && peopleAway > 0)) return false;
      return people.length + peopleAway < 2;
    }
  }
  if (people.length === 1) {
    const lastAgent = departed
      .filter(({ kind }) => kind === 'agent')
      .toSorted((a, b) => a.until - b.until)
      .at(-1);
    if (agents.length > 0 || lastAgent?.reason == null || !CONNECTION_LOSSES.includes(lastAgent.reason))
      return false;
    return at >= Math.max(lastAgent.until, people[0]?.from ?? 0) + reconnectGraceMs;
  }
  const lastPerson = Math.max(
    0,
    ...departed.filter(({ kind }) => kind === 'person').map(({ until }) => until),
  );
  const isKeptOpen = present.some(({ kind }) => kind === 'stream');
  return lastPerson > 0 && isKeptOpen && at >= lastPerson + reconnectGraceMs;
}

/** Returns when the call became active, by rule 4 and the connections; Infinity: never. */
export function activeFrom({ connections: all }: Pick<Room, 'connections'>): number {
  const connections = all.filter((connection) => !hasNeverJoined(connection));
  const answers = connections.flatMap(({ answeredAt, until }) =>
    answeredAt !== null && answeredAt < until ? [answeredAt] : [],
  );
  const moments = connections.flatMap(({ from, until }) => [from, until]).toSorted((a, b) => a - b);
  const talks = moments.filter((at) => {
    const here = connections.filter(({ from, until }) => from <= at && at < until);
    const people = here.filter(({ kind }) => kind === 'person').length;
    const hasAgent = here.some(({ kind }) => kind === 'agent');
    return (
      people >= 2 ||
      (people === 1 &&
        hasAgent &&
        !connections.some((connection) => isPhone(connection) && connection.from <= at))
    );
  });
  return Math.min(Number.POSITIVE_INFINITY, ...answers, ...talks);
}

/** Returns the end of the conversation of a call that was active and ended at `endedAt`. */
export function conversationEnd(
  { connections: all, finishedAt }: Pick<Room, 'connections' | 'finishedAt'>,
  endedAt: number,
): number {
  const connections = all.filter((connection) => !hasNeverJoined(connection));
  const end = Math.min(endedAt, finishedAt);
  const talkers = connections.filter(
    (connection) =>
      connection.from <= end &&
      (connection.kind === 'person' || (isPhone(connection) && connection.answeredAt !== null)),
  );
  const departed = talkers.filter(({ until }) => until <= end && until < finishedAt);
  const remaining = connections.filter(
    (connection) =>
      isParty(connection) &&
      connection.from < end &&
      (end < connection.until || connection.until === finishedAt),
  );
  const [alone] = remaining;
  // The conversation of a phone left alone ends when hangup disconnects it; that of a person, when the agent leaves.
  if (alone?.kind === 'person' && end < finishedAt) {
    const agents = connections.filter(({ kind, until }) => kind === 'agent' && until <= end);
    const phones = connections.filter(isPhone);
    const isPhoneCall =
      phones.length > 0 && conversationStart(connections) >= Math.min(...phones.map(({ from }) => from));
    if (!isPhoneCall) return Math.max(...[...agents, ...departed].map(({ until }) => until));
  } else if (alone !== undefined) return end;
  // If no party of the conversation has left, the conversation ended with the last phone.
  const last =
    departed.length > 0
      ? departed
      : connections.filter((connection) => isPhone(connection) && connection.until <= end);
  return Math.max(...last.map(({ until }) => until));
}

/** Whether the connection was aborted. An aborted phone has rung, so it counts as joined. */
const hasNeverJoined = (connection: Connection, at = Number.POSITIVE_INFINITY) =>
  connection.isAborted && !isPhone(connection) && connection.until <= at;

const isAnswered = ({ answeredAt }: Connection, at: number) => answeredAt !== null && answeredAt <= at;

/** Returns when a person and another person or an agent were first together; Infinity: never. */
function conversationStart(connections: readonly Connection[]): number {
  const people = connections.filter(({ kind }) => kind === 'person');
  const moments = people.flatMap((person) =>
    connections
      .filter((other) => other !== person && (other.kind === 'person' || other.kind === 'agent'))
      .map((other) => ({
        began: Math.max(person.from, other.from),
        ended: Math.min(person.until, other.until),
      }))
      .filter(({ began, ended }) => began < ended)
      .map(({ began }) => began),
  );
  return Math.min(Number.POSITIVE_INFINITY, ...moments);
}

const kinds = fc.array(
  fc.constantFrom<Kind>(
    'person',
    'agent',
    'outbound',
    'inbound',
    'person',
    'agent',
    'outbound',
    'connector',
    'recorder',
    'stream',
  ),
  { minLength: 1, maxLength: 6 },
);
const gapsMs = fc.oneof(
  fc.integer({ min: 1, max: 3_000 }),
  fc.integer({ min: 1, max: 3_000 }),
  fc.integer({ min: 1, max: 40_000 }),
);

/** Returns random rooms of up to 6 participants and 30 moves, with the given deliveries of webhooks. */
export function arbitraryRoom(deliveries: fc.Arbitrary<Delivery>): fc.Arbitrary<History> {
  const move = fc.record({
    actor: fc.nat(5),
    action: fc.constantFrom<Move['action']>(
      'leave',
      'leave',
      'leave',
      'answer',
      'audio',
      'ring',
      'replace',
      'migrate',
      'automation',
      'abort',
    ),
    afterMs: gapsMs,
    reason: fc.constantFrom(
      'CLIENT_INITIATED',
      'CLIENT_INITIATED',
      'CONNECTION_TIMEOUT',
      'USER_REJECTED',
      'USER_UNAVAILABLE',
      'PARTICIPANT_REMOVED',
    ),
    delivery: deliveries,
  });
  return fc
    .record({ kinds, moves: fc.array(move, { minLength: 1, maxLength: 30 }) })
    .map((history) => Object.assign(history, { [fc.toStringMethod]: () => describeRoom(history) }));
}

export const MAX_DELAY_MS = 20_000;
export const UNRELIABLE_DELIVERY: fc.Arbitrary<Delivery> = fc.record({
  isLost: fc.integer({ min: 0, max: 7 }).map((n) => n === 7),
  delayMs: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: MAX_DELAY_MS })),
  repeatAfterMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { freq: 4 }),
});
export const LOSSY_DELIVERY: fc.Arbitrary<Delivery> = UNRELIABLE_DELIVERY.map((delivery) => ({
  ...delivery,
  delayMs: 0,
}));
export const RELIABLE_DELIVERY: fc.Arbitrary<Delivery> = fc.constant({
  isLost: false,
  delayMs: 0,
  repeatAfterMs: null,
});

/** Returns a line for each connection and each webhook, for a failure report. */
export function describeRoom(history: History): string {
  const room = playRoom(history);
  const seconds = (ms: number) => (Number.isFinite(ms) ? `${(ms / 1000).toFixed(3)} s` : 'never');
  const connections = room.connections.map(
    ({ identity, sid, from, until, reason, answeredAt }) =>
      `${identity} (${sid}): from ${seconds(from)} until ${seconds(until)} ${reason ?? ''}${answeredAt === null ? '' : `, answered at ${seconds(answeredAt)}`}`,
  );
  const webhooks = room.webhooks.map(({ at, arrivesAt, payload }) => {
    const about =
      'participant' in payload
        ? payload.participant.sid
        : 'participantSid' in payload
          ? payload.participantSid
          : '';
    return `  ${payload.kind} ${about} ${'reason' in payload ? payload.reason : ''} of ${seconds(at)} arrives at ${seconds(arrivesAt)}`;
  });
  return ['', ...connections, `finished at ${seconds(room.finishedAt)}`, ...webhooks].join('\n');
}
