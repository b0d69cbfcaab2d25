import type { CallPolicy } from '../../src/domain/assess-call.ts';
import { type Call, isLive, newCall } from '../../src/domain/call.ts';
import { applyRoomEvent, applyTransition, type Transition } from '../../src/domain/call-transition.ts';
import { applyObservation, type Observation } from '../../src/domain/observation.ts';
import { present, versionOf } from '../../src/domain/roster.ts';
import { DEPARTURE_TIMEOUT_MS, participantOf, type Room } from './room-model.ts';

/* Plays a room to hangup's decisions, without a store: webhooks as they arrive, and LiveKit's lists on request. */

export const POLICY: CallPolicy = {
  // Not whole milliseconds, so that no grace runs out in the very moment of an event.
  agentLeftGraceMs: 30_000.25,
  reconnectGraceMs: 25_000.75,
  recreatedRoomWindowMs: 86_400_000,
};
export const COMPARED_EVERY_MS = 15_000;
export const POLLED_EVERY_MS = 1_000;
/** From a request to LiveKit to its answer. Webhooks arrive in between. */
export const LATENCY_MS = 40;
const ABSENT_FOR_MS = 10_000;
/** Event times are milliseconds behind this, so that none is 0. */
export const EPOCH = 1_000_000;
/** Long enough for every grace to run out, ten of them for a phone that nobody joins. */
const RUNS_ON_FOR_MS = 10 * POLICY.agentLeftGraceMs + 120_000;

export interface Played {
  readonly call: Call;
  readonly versions: readonly Call[];
  /** When hangup ended the call, by its own clock since the beginning; Infinity: it lives. */
  readonly endedAtMs: number;
  /** When hangup saw by LiveKit's list that a participant had left without a report, by sid. */
  readonly missedAt: ReadonlyMap<string, number>;
  /** Sids of phones whose answer hangup noticed, at their leaving at the latest. */
  readonly answered: ReadonlySet<string>;
  /** When hangup noticed the answer of a phone that was there, by its sid. */
  readonly answerSeenAt: ReadonlyMap<string, number>;
  /** When hangup noticed each participant, by sid; one that is not in it was never seen. */
  readonly noticedAt: ReadonlyMap<string, number>;
  readonly playedUntilMs: number;
}

export function playToHangup(room: Room, { forgetsIds = false } = {}): Played {
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
  const circumstances = (now: number) => ({ policy: POLICY, now: now + EPOCH, isAdoptable: false });
  const observe = (observation: Observation, now: number) => {
    if (isLive(call.status)) change(applyObservation(call, observation, circumstances(now)), now);
  };
  const answers: { readonly at: number; apply(): void }[] = [];
  const listParticipants = (askedAt: number, then = () => {}) => {
    const participants = room
      .list(askedAt)
      .map(({ stay, callStatus, isAnswered }) => participantOf(stay, callStatus, isAnswered))
      .map((one) => ({ ...one, joinedAt: one.joinedAt + EPOCH }));
    const version = versionOf(call.roster);
    const list = { participants, askedAt: askedAt + EPOCH, version, isTrusted: true };
    const at = askedAt + LATENCY_MS;
    const apply = () => {
      observe({ kind: 'participants', callId: call.id, ...list }, at);
      then();
    };
    answers.push({ at, apply });
  };
  let isReviewing = false;
  /** Reviews that are due, and LiveKit's answers as they arrive. */
  const advanceTo = (until: number) => {
    for (let rounds = 0; ; rounds += 1) {
      if (rounds > 1_000) throw new Error('reviews without end');
      const [answer] = answers;
      const isReviewed = isLive(call.status) && call.reviewAt !== null && !isReviewing;
      const reviewAt = isReviewed ? Math.max(clock, (call.reviewAt ?? 0) - EPOCH) : Number.POSITIVE_INFINITY;
      if (Math.min(answer?.at ?? Number.POSITIVE_INFINITY, reviewAt) > until) break;
      if (answer !== undefined && answer.at <= reviewAt) {
        answers.shift();
        clock = answer.at;
        answer.apply();
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
  const compare = (now: number) => {
    const isListed = now < room.finishedAt;
    const eventRoom = { name: 'r', sid: 'RM_1', createdAt: EPOCH, metadata: '' };
    if (isListed) {
      observe({ kind: 'room', room: eventRoom, askedAt: now + EPOCH }, now);
      listParticipants(now);
      return;
    }
    absentSince ??= now;
    if (now - absentSince >= ABSENT_FOR_MS) {
      observe({ kind: 'room_absent', callId: call.id, sid: call.roomId }, now);
    }
  };
  const end = Number.isFinite(room.finishedAt)
    ? Math.max(room.finishedAt, room.lastMoveAt) + DEPARTURE_TIMEOUT_MS + 120_000
    : room.lastMoveAt + RUNS_ON_FOR_MS;
  const polls = room.silentChanges.map((at) => Math.ceil((at + 1) / POLLED_EVERY_MS) * POLLED_EVERY_MS);
  const agenda = [
    ...room.reports.map((report) => ({ at: report.arrivesAt, report, kind: 'report' as const })),
    ...polls.map((at) => ({ at, kind: 'poll' as const })),
    ...Array.from({ length: Math.floor(end / COMPARED_EVERY_MS) }, (_, i) => ({
      at: (i + 1) * COMPARED_EVERY_MS,
      kind: 'compare' as const,
    })),
  ].toSorted((a, b) => a.at - b.at);
  for (const item of agenda) {
    advanceTo(item.at);
    if (item.kind === 'report') {
      const { id, at, payload } = item.report;
      if (!forgetsIds && received.has(id)) continue;
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
      change(applyRoomEvent(call, event, circumstances(item.at)), item.at);
    } else if (item.kind === 'compare') compare(item.at);
    else if (
      call.roster !== null &&
      present(call.roster, 'phone').some(({ phone }) => phone?.answeredAt == null)
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
