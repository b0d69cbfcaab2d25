import fc from 'fast-check';
import type { PhoneAttributes, Role, RoomEventPayload } from '../../src/domain/room-event.ts';

/*
 * A reference model of a room: the participants as they are, what LiveKit reports of them, and by which moment a call is
 * over. It shares no code with src: it reads whole stays, where src follows events.
 */

export const DEPARTURE_TIMEOUT_MS = 20_000;
const EMPTY_TIMEOUT_MS = 300_000;

export type Kind = 'person' | 'agent' | 'outbound' | 'inbound' | 'connector' | 'recorder' | 'stream';

/** A webhook on its way: lost, or so much late, or repeated so much later. */
export interface Delivery {
  readonly isLost: boolean;
  readonly delayMs: number;
  readonly repeatAfterMs: number | null;
}

export interface Move {
  readonly actor: number;
  readonly act: 'leave' | 'replace' | 'migrate' | 'audio' | 'ring' | 'answer' | 'automation' | 'abort';
  readonly afterMs: number;
  readonly reason: string;
  readonly delivery: Delivery;
}

export interface History {
  readonly kinds: readonly Kind[];
  readonly moves: readonly Move[];
}

/** One connection of a participant, from its join to its end. */
export interface Stay {
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
  /** When hangup received anything of it for the first time. */
  noticedAt: number;
  /** When the leaving reached hangup by a webhook; Infinity: never. */
  leaveReportedAt: number;
}

export interface Report {
  readonly id: string;
  readonly at: number;
  readonly arrivesAt: number;
  readonly payload: RoomEventPayload;
}

export interface Room {
  readonly stays: readonly Stay[];
  readonly reports: readonly Report[];
  /** When something changed that no webhook reports. */
  readonly silentChanges: readonly number[];
  readonly finishedAt: number;
  readonly lastMoveAt: number;
  /** The participants at a moment, as LiveKit lists them. */
  list(at: number): readonly Snapshot[];
}

export interface Snapshot {
  readonly stay: Stay;
  readonly callStatus: string;
  readonly isAnswered: boolean;
}

const isPhone = ({ kind }: { kind: Kind }) =>
  kind === 'outbound' || kind === 'inbound' || kind === 'connector';
const isParty = (stay: { kind: Kind }) => isPhone(stay) || stay.kind === 'person';
/** Agents and recorders keep no room open. */
const holdsOpen = ({ kind }: { kind: Kind }) => kind !== 'agent' && kind !== 'recorder';

const ROLES: Readonly<Record<Kind, Role>> = {
  person: 'person',
  agent: 'agent',
  outbound: 'phone',
  inbound: 'phone',
  connector: 'phone',
  recorder: 'recorder',
  stream: 'other',
};

export function participantOf({ sid, identity, kind, from }: Stay, callStatus: string, isAnswered: boolean) {
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

/** Plays the moves: who is there, what LiveKit sends, and when it finishes the room. */
export function playRoom({ kinds, moves }: History): Room {
  const stays: Stay[] = [];
  const reports: Report[] = [];
  const silentChanges: number[] = [];
  const statuses: { at: number; stay: Stay; callStatus: string }[] = [];
  const here = (at: number) => stays.filter(({ from, until }) => from <= at && at < until);
  let lastArrival = 0;
  const send = (
    payload: RoomEventPayload,
    at: number,
    { isLost, delayMs, repeatAfterMs }: Delivery,
  ): number => {
    const id = `EV_${reports.length}`;
    if (isLost) return Number.POSITIVE_INFINITY;
    // First in, first out.
    lastArrival = Math.max(lastArrival, at + delayMs);
    reports.push({ id, at, arrivesAt: lastArrival, payload });
    if (repeatAfterMs !== null) reports.push({ id, at, arrivesAt: lastArrival + repeatAfterMs, payload });
    return lastArrival;
  };
  const inTime: Delivery = { isLost: false, delayMs: 0, repeatAfterMs: null };
  const setStatus = (stay: Stay, callStatus: string, at: number) => {
    stay.callStatus = callStatus;
    statuses.push({ at, stay, callStatus });
    silentChanges.push(at);
  };
  const answerInbound = (at: number) => {
    const hasOtherAudio = (phone: Stay) =>
      here(at).some(
        (one) => (one.kind === 'agent' || one.kind === 'person') && one.hasAudio && one !== phone,
      );
    for (const phone of here(at)) {
      if (phone.kind !== 'inbound' || phone.answeredAt !== null || !hasOtherAudio(phone)) continue;
      phone.answeredAt = at;
      setStatus(phone, 'active', at);
    }
  };
  const join = (actor: number, kind: Kind, at: number, delivery: Delivery) => {
    const stay: Stay = {
      sid: `PA_${stays.length}`,
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
      leaveReportedAt: Number.POSITIVE_INFINITY,
    };
    stays.push(stay);
    statuses.push({ at, stay, callStatus: stay.callStatus });
    const participant = participantOf(stay, stay.callStatus, false);
    stay.noticedAt = send({ kind: 'participant_joined', participant }, at, delivery);
    answerInbound(at);
  };
  const leave = (stay: Stay, at: number, reason: string, delivery: Delivery, isAborted = false) => {
    stay.until = at;
    stay.reason = reason;
    stay.isAborted = isAborted;
    const participant = participantOf(stay, 'hangup', stay.answeredAt !== null);
    const kind = isAborted ? 'participant_connection_aborted' : 'participant_left';
    stay.leaveReportedAt = send({ kind, participant, reason }, at, delivery);
    stay.noticedAt = Math.min(stay.noticedAt, stay.leaveReportedAt);
  };

  let now = 0;
  let emptySince = 0;
  let wasHeld = false;
  let finishedAt = Number.POSITIVE_INFINITY;
  const closesAt = () => {
    if (here(now).some(holdsOpen)) return Number.POSITIVE_INFINITY;
    return emptySince + (wasHeld ? DEPARTURE_TIMEOUT_MS : EMPTY_TIMEOUT_MS);
  };
  const finish = (at: number, delivery: Delivery) => {
    finishedAt = at;
    for (const stay of here(at)) leave(stay, at, 'ROOM_CLOSED', delivery);
    send({ kind: 'room_finished' }, at, delivery);
  };
  send({ kind: 'room_started' }, 0, moves[0]?.delivery ?? inTime);
  for (const { actor, act, afterMs, reason, delivery } of moves) {
    if (now + afterMs >= closesAt()) break;
    now += afterMs;
    const kind = kinds[actor % kinds.length] ?? 'person';
    const stay = here(now).find(({ identity }) => identity === `${kind}-${actor % kinds.length}`);
    const heldBefore = here(now).some(holdsOpen);
    if (stay === undefined && act === 'abort') {
      // LiveKit lists it while it connects, and reports an aborted connection instead of a join.
      join(actor % kinds.length, kind, now, { ...delivery, isLost: true });
      const connecting = stays.at(-1);
      now += 1;
      if (connecting !== undefined) leave(connecting, now, 'JOIN_FAILURE', delivery, true);
    } else if (stay === undefined) join(actor % kinds.length, kind, now, delivery);
    else if (act === 'leave' || act === 'abort') leave(stay, now, reason, delivery);
    else if (act === 'migrate') {
      const participant = participantOf(stay, stay.callStatus, stay.answeredAt !== null);
      send({ kind: 'participant_left', participant, reason: 'MIGRATION' }, now, delivery);
    } else if (act === 'replace') {
      leave(stay, now, 'DUPLICATE_IDENTITY', delivery);
      now += 1;
      join(actor % kinds.length, kind, now, delivery);
    } else if (act === 'audio') {
      stay.hasAudio = true;
      send({ kind: 'audio_published', participantSid: stay.sid }, now, delivery);
      answerInbound(now);
    } else if (stay.kind === 'outbound' && stay.answeredAt === null) {
      if (act === 'ring') {
        stay.hasRung = true;
        setStatus(stay, 'ringing', now);
      } else {
        stay.answeredAt = now;
        setStatus(stay, act === 'answer' ? 'active' : 'automation', now);
      }
    }
    const isHeld = here(now).some(holdsOpen);
    wasHeld ||= isHeld;
    if (!isHeld && heldBefore) emptySince = now;
  }
  if (closesAt() < Number.POSITIVE_INFINITY) finish(closesAt(), moves.at(-1)?.delivery ?? inTime);
  return {
    stays,
    reports: reports.toSorted((a, b) => a.arrivesAt - b.arrivesAt),
    silentChanges,
    finishedAt,
    lastMoveAt: now,
    list: (at) =>
      here(at).map((stay) => ({
        stay,
        callStatus: statuses.findLast((one) => one.stay === stay && one.at <= at)?.callStatus ?? 'dialing',
        isAnswered: stay.answeredAt !== null && stay.answeredAt <= at,
      })),
  };
}

/** Phones (one that rings too) and people who are there: two of them can talk. */
export function partiesAt({ stays }: Pick<Room, 'stays'>, at: number): number {
  return stays.filter((stay) => isParty(stay) && stay.from <= at && at < stay.until).length;
}

export interface Graces {
  readonly agentLeftGraceMs: number;
  readonly reconnectGraceMs: number;
}

const BROKEN = [
  'SERVER_SHUTDOWN',
  'SIGNAL_CLOSE',
  'CONNECTION_TIMEOUT',
  'STATE_MISMATCH',
  'MEDIA_FAILURE',
  'JOIN_FAILURE',
];

/** Rule 6: whether the call is over at a moment, by the stays up to then. */
export function isOver(
  { stays, finishedAt }: Pick<Room, 'stays' | 'finishedAt'>,
  at: number,
  { agentLeftGraceMs, reconnectGraceMs }: Graces,
): boolean {
  if (at >= finishedAt) return true;
  const known = stays.filter((stay) => stay.from <= at && !wasNeverThere(stay, at));
  const here = known.filter(({ until }) => at < until);
  const gone = known.filter(({ until }) => until <= at);
  if (here.filter(isParty).length >= 2) return false;
  const recently = ({ until }: Stay) => at < until + reconnectGraceMs;
  const people = here.filter(({ kind }) => kind === 'person');
  const isBack = ({ identity }: Stay) => people.some((one) => one.identity === identity);
  const away = gone.filter((stay) => stay.kind === 'person' && recently(stay) && !isBack(stay));
  const peopleAway = new Set(away.map(({ identity }) => identity)).size;
  const agents = here.filter(({ kind }) => kind === 'agent');
  const phones = known.filter(isPhone);
  const [phone] = here.filter(isPhone);
  if (phone !== undefined) {
    if (agents.length > 0) return false;
    const company = known.filter(
      (stay) => (stay !== phone && isAnswered(stay, at)) || stay.kind === 'agent' || stay.kind === 'person',
    );
    const others = gone.filter((stay) => stay.kind === 'agent' || isParty(stay));
    const aloneSince = Math.max(phone.from, ...others.map(({ until }) => until));
    if (company.length > 0) return at >= aloneSince + agentLeftGraceMs;
    const waits = phone.kind === 'inbound' || !isAnswered(phone, at);
    return !waits && at >= (phone.answeredAt ?? at) + 10 * agentLeftGraceMs;
  }
  if (phones.length > 0) {
    const first = Math.min(...phones.map(({ from }) => from));
    const areGuests = talkBegan(known) < first;
    const lastPhoneLeft = Math.max(...phones.map(({ until }) => until));
    const someoneStayed =
      people.length > 0 || gone.some((stay) => stay.kind === 'person' && stay.until > lastPhoneLeft);
    const isLost = (stay: Stay) =>
      recently(stay) &&
      !stay.isAborted &&
      (stay.reason === 'DUPLICATE_IDENTITY' ||
        (!isAnswered(stay, at) && stay.reason !== null && BROKEN.includes(stay.reason)));
    if (!areGuests || !someoneStayed) {
      if (phones.some(isLost) || (areGuests && peopleAway > 0)) return false;
      return people.length + peopleAway < 2;
    }
  }
  if (people.length === 1) {
    const lastAgent = gone
      .filter(({ kind }) => kind === 'agent')
      .toSorted((a, b) => a.until - b.until)
      .at(-1);
    if (agents.length > 0 || lastAgent?.reason == null || !BROKEN.includes(lastAgent.reason)) return false;
    return at >= Math.max(lastAgent.until, people[0]?.from ?? 0) + reconnectGraceMs;
  }
  const lastPerson = Math.max(0, ...gone.filter(({ kind }) => kind === 'person').map(({ until }) => until));
  const isHeldOpen = here.some(({ kind }) => kind === 'stream');
  return lastPerson > 0 && isHeldOpen && at >= lastPerson + reconnectGraceMs;
}

/** Rule 4: when the call became active, by the stays; Infinity: never. */
export function activeSince({ stays: all }: Pick<Room, 'stays'>): number {
  const stays = all.filter((stay) => !wasNeverThere(stay));
  const answers = stays.flatMap(({ answeredAt, until }) =>
    answeredAt !== null && answeredAt < until ? [answeredAt] : [],
  );
  const moments = stays.flatMap(({ from, until }) => [from, until]).toSorted((a, b) => a - b);
  const talks = moments.filter((at) => {
    const here = stays.filter(({ from, until }) => from <= at && at < until);
    const people = here.filter(({ kind }) => kind === 'person').length;
    const hasAgent = here.some(({ kind }) => kind === 'agent');
    return (
      people >= 2 || (people === 1 && hasAgent && !stays.some((stay) => isPhone(stay) && stay.from <= at))
    );
  });
  return Math.min(Number.POSITIVE_INFINITY, ...answers, ...talks);
}

/** When the conversation of a call that was active was over, for a call that ended at a moment. */
export function conversationUntil(
  { stays: all, finishedAt }: Pick<Room, 'stays' | 'finishedAt'>,
  endedAt: number,
): number {
  const stays = all.filter((stay) => !wasNeverThere(stay));
  const end = Math.min(endedAt, finishedAt);
  const talkers = stays.filter(
    (stay) => stay.from <= end && (stay.kind === 'person' || (isPhone(stay) && stay.answeredAt !== null)),
  );
  const gone = talkers.filter(({ until }) => until <= end && until < finishedAt);
  const stayed = stays.filter(
    (stay) => isParty(stay) && stay.from < end && (end < stay.until || stay.until === finishedAt),
  );
  const [alone] = stayed;
  // A phone that is left alone was on the line until it was hung up, a person until the agent was gone.
  if (alone?.kind === 'person' && end < finishedAt) {
    const agents = stays.filter(({ kind, until }) => kind === 'agent' && until <= end);
    const phones = stays.filter(isPhone);
    const isPhoneCall = phones.length > 0 && talkBegan(stays) >= Math.min(...phones.map(({ from }) => from));
    if (!isPhoneCall) return Math.max(...[...agents, ...gone].map(({ until }) => until));
  } else if (alone !== undefined) return end;
  // Where nobody who talked has left, the call ended with its last phone.
  const last = gone.length > 0 ? gone : stays.filter((stay) => isPhone(stay) && stay.until <= end);
  return Math.max(...last.map(({ until }) => until));
}

/** Its connection was aborted. A phone rang all the same. */
const wasNeverThere = (stay: Stay, at = Number.POSITIVE_INFINITY) =>
  stay.isAborted && !isPhone(stay) && stay.until <= at;

const isAnswered = ({ answeredAt }: Stay, at: number) => answeredAt !== null && answeredAt <= at;

/** Two people, or a person and an agent, together for the first time. */
function talkBegan(stays: readonly Stay[]): number {
  const people = stays.filter(({ kind }) => kind === 'person');
  const moments = people.flatMap((person) =>
    stays
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
const gaps = fc.oneof(
  fc.integer({ min: 1, max: 3_000 }),
  fc.integer({ min: 1, max: 3_000 }),
  fc.integer({ min: 1, max: 40_000 }),
);

/** Rooms of up to 6 participants and 30 moves, with webhooks lost, late or repeated. */
export function aRoom(deliveries: fc.Arbitrary<Delivery>): fc.Arbitrary<History> {
  const move = fc.record({
    actor: fc.nat(5),
    act: fc.constantFrom<Move['act']>(
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
    afterMs: gaps,
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
export const SOME_TROUBLE: fc.Arbitrary<Delivery> = fc.record({
  isLost: fc.integer({ min: 0, max: 7 }).map((n) => n === 7),
  delayMs: fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: MAX_DELAY_MS })),
  repeatAfterMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { freq: 4 }),
});
export const LOSSES: fc.Arbitrary<Delivery> = SOME_TROUBLE.map((delivery) => ({ ...delivery, delayMs: 0 }));
export const NO_TROUBLE: fc.Arbitrary<Delivery> = fc.constant({
  isLost: false,
  delayMs: 0,
  repeatAfterMs: null,
});

/** One line for each stay and each webhook: what a failure prints. */
export function describeRoom(history: History): string {
  const room = playRoom(history);
  const seconds = (ms: number) => (Number.isFinite(ms) ? `${(ms / 1000).toFixed(3)} s` : 'never');
  const stays = room.stays.map(
    ({ identity, sid, from, until, reason, answeredAt }) =>
      `${identity} (${sid}): from ${seconds(from)} until ${seconds(until)} ${reason ?? ''}${answeredAt === null ? '' : `, answered at ${seconds(answeredAt)}`}`,
  );
  const reports = room.reports.map(({ at, arrivesAt, payload }) => {
    const about =
      'participant' in payload
        ? payload.participant.sid
        : 'participantSid' in payload
          ? payload.participantSid
          : '';
    return `  ${payload.kind} ${about} ${'reason' in payload ? payload.reason : ''} of ${seconds(at)} arrives at ${seconds(arrivesAt)}`;
  });
  return ['', ...stays, `finished at ${seconds(room.finishedAt)}`, ...reports].join('\n');
}
