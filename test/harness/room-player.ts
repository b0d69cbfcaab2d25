import type { CallPolicy } from '../../src/domain/assess-call.ts';
import { type Call, newCall } from '../../src/domain/call.ts';
import { isLive } from '../../src/domain/call-status.ts';
import { applyRoomEvent, applyTransition, type Transition } from '../../src/domain/call-transition.ts';
import { applyObservation, type Observation } from '../../src/domain/observation.ts';
import { presentMembers, versionOf } from '../../src/domain/roster.ts';
import { DEPARTURE_TIMEOUT_MS, participantOf, type Room } from './room-model.ts';

/* Applies a room's webhooks and LiveKit's lists to hangup's decisions, without a store. */

export const POLICY: CallPolicy = {
  // Fractions of a millisecond: no grace period expires at the time of an event.
  agentLeftGraceMs: 30_000.25,
  reconnectGraceMs: 25_000.75,
  recreatedRoomWindowMs: 86_400_000,
};
export const RECONCILE_INTERVAL_MS = 15_000;
export const POLL_INTERVAL_MS = 1_000;
/** The time from a request to LiveKit to its response. Webhooks can arrive in between. */
export const LATENCY_MS = 40;
const MISSING_CONFIRM_MS = 10_000;
/** Event times are later than this, because 0 is not a valid time. */
export const EPOCH = 1_000_000;
/** Every grace period expires in this time: ten agent grace periods for an answered outbound phone alone. */
const TIME_AFTER_LAST_MOVE_MS = 10 * POLICY.agentLeftGraceMs + 120_000;

export interface PlayedRoom {
  readonly call: Call;
  readonly versions: readonly Call[];
  /** When hangup ended the call, in milliseconds since the start; Infinity: the call is live. */
  readonly endedAtMs: number;
  /** When LiveKit's list first lacked a participant whose departure had no webhook, by sid. */
  readonly missedAt: ReadonlyMap<string, number>;
  /** The sids of phones whose answer hangup noticed, at the latest when they left. */
  readonly answered: ReadonlySet<string>;
  /** When hangup noticed the answer of a present phone, by sid. */
  readonly answerSeenAt: ReadonlyMap<string, number>;
  /** When hangup first noticed each participant, by sid. */
  readonly noticedAt: ReadonlyMap<string, number>;
  readonly playedUntilMs: number;
}

export function playToHangup(room: Room, { detectsDuplicates = true } = {}): PlayedRoom {
  let call = newCall({ id: 'c1', organizationId: 'org', roomName: 'r', createdAt: EPOCH });
  const versions = [call];
  const missedAt = new Map<string, number>();
  const answered = new Set<string>();
  const answerSeenAt = new Map<string, number>();
  const received = new Set<string>();
  let endedAtMs = Number.POSITIVE_INFINITY;
  const change = (applied: Transition, now: number) => {
    call = applyTransition(call, applied, now + EPOCH);
    for (const { sid, departure, phone } of call.roster?.members ?? []) {
      if (phone?.answeredAt != null) answered.add(sid);
      if (phone?.answeredAt != null && departure === null && !answerSeenAt.has(sid))
        answerSeenAt.set(sid, now);
      if (departure?.reason === null && !missedAt.has(sid)) missedAt.set(sid, departure.at - EPOCH);
    }
    versions.push(call);
    if (!isLive(call.status)) endedAtMs = Math.min(endedAtMs, now);
  };
  const optionsAt = (now: number) => ({ policy: POLICY, now: now + EPOCH, isAdoptable: false });
  const observe = (observation: Observation, now: number) => {
    if (isLive(call.status)) change(applyObservation(call, observation, optionsAt(now)), now);
  };
  const responses: { readonly at: number; apply(): void }[] = [];
  const listParticipants = (requestedAt: number, then = () => {}) => {
    const participants = room
      .list(requestedAt)
      .map(({ connection, callStatus, isAnswered }) => participantOf(connection, callStatus, isAnswered))
      .map((participant) => ({ ...participant, joinedAt: participant.joinedAt + EPOCH }));
    const version = versionOf(call.roster);
    const list = { participants, requestedAt: requestedAt + EPOCH, version, isTrusted: true };
    const at = requestedAt + LATENCY_MS;
    const apply = () => {
      observe({ kind: 'participants', callId: call.id, ...list }, at);
      then();
    };
    responses.push({ at, apply });
  };
  let isReviewing = false;
  /** Runs the due reviews and applies LiveKit's responses until a time. */
  const advanceTo = (until: number) => {
    for (let rounds = 0; ; rounds += 1) {
      if (rounds > 1_000) throw new Error('reviews without end');
      const [response] = responses;
      const isReviewed = isLive(call.status) && call.reviewAt !== null && !isReviewing;
      const reviewAt = isReviewed ? Math.max(clock, (call.reviewAt ?? 0) - EPOCH) : Number.POSITIVE_INFINITY;
      if (Math.min(response?.at ?? Number.POSITIVE_INFINITY, reviewAt) > until) break;
      if (response !== undefined && response.at <= reviewAt) {
        responses.shift();
        clock = response.at;
        response.apply();
      } else {
        clock = reviewAt;
        isReviewing = true;
        listParticipants(reviewAt, () => {
          isReviewing = false;
        });
      }
    }
    clock = until;
  };
  let clock = 0;
  let absentSince: number | null = null;
  const reconcile = (now: number) => {
    const isListed = now < room.finishedAt;
    const eventRoom = { name: 'r', sid: 'RM_1', createdAt: EPOCH, metadata: '' };
    if (isListed) {
      observe({ kind: 'room', room: eventRoom, requestedAt: now + EPOCH }, now);
      listParticipants(now);
      return;
    }
    absentSince ??= now;
    if (now - absentSince >= MISSING_CONFIRM_MS) {
      observe({ kind: 'room_absent', callId: call.id, sid: call.roomId }, now);
    }
  };
  const end = Number.isFinite(room.finishedAt)
    ? Math.max(room.finishedAt, room.lastMoveAt) + DEPARTURE_TIMEOUT_MS + 120_000
    : room.lastMoveAt + TIME_AFTER_LAST_MOVE_MS;
  const polls = room.silentChanges.map((at) => Math.ceil((at + 1) / POLL_INTERVAL_MS) * POLL_INTERVAL_MS);
  const agenda = [
    ...room.webhooks.map((webhook) => ({ at: webhook.arrivesAt, webhook, kind: 'webhook' as const })),
    ...polls.map((at) => ({ at, kind: 'poll' as const })),
    ...Array.from({ length: Math.floor(end / RECONCILE_INTERVAL_MS) }, (_, i) => ({
      at: (i + 1) * RECONCILE_INTERVAL_MS,
      kind: 'reconcile' as const,
    })),
  ].toSorted((a, b) => a.at - b.at);
  for (const item of agenda) {
    advanceTo(item.at);
    if (item.kind === 'webhook') {
      const { id, at, payload } = item.webhook;
      if (detectsDuplicates && received.has(id)) continue;
      received.add(id);
      const shifted =
        'participant' in payload
          ? {
              ...payload,
              participant: { ...payload.participant, joinedAt: (payload.participant.joinedAt ?? 0) + EPOCH },
            }
          : payload;
      const eventRoom = { name: 'r', sid: 'RM_1', createdAt: EPOCH, metadata: '' };
      const event = { id, at: at + EPOCH, room: eventRoom, payload: shifted };
      change(applyRoomEvent(call, event, optionsAt(item.at)), item.at);
    } else if (item.kind === 'reconcile') reconcile(item.at);
    else if (
      call.roster !== null &&
      presentMembers(call.roster, 'phone').some(({ phone }) => phone?.answeredAt == null)
    ) {
      listParticipants(item.at);
    }
  }
  advanceTo(end);
  const noticedAt = new Map(
    (call.roster?.members ?? []).map((member) => [member.sid, member.noticedAt - EPOCH]),
  );
  return { call, versions, endedAtMs, missedAt, answered, answerSeenAt, noticedAt, playedUntilMs: end };
}
