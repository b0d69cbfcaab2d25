import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  activeSince,
  aRoom,
  conversationUntil,
  type History,
  isOver,
  LOSSES,
  MAX_DELAY_MS,
  NO_TROUBLE,
  partiesAt,
  playRoom,
  type Room,
  SOME_TROUBLE,
  type Stay,
} from '../harness/room-model.ts';
import {
  COMPARED_EVERY_MS,
  EPOCH,
  LATENCY_MS,
  type Played,
  POLICY,
  POLLED_EVERY_MS,
  playToHangup,
} from '../harness/room-player.ts';

/* hangup's decisions about random rooms, against the reference model. CI runs 20,000 of each. */

const RUNS = { numRuns: Number(process.env['ROOMS'] ?? 1_000) };
/** A participant is missing in two lists 10 s apart, the second one at the next comparison at the latest. */
const NOTICED_WITHIN_MS = 2 * COMPARED_EVERY_MS + 10_000;

/**
 * The stays as far as hangup was able to learn of them: of a leaving that was not reported, the time is between the
 * real one and the list that lacked the participant, and the reason is unknown. An answer that nobody saw is none.
 */
function readings(
  room: Room,
  { missedAt, answered, noticedAt, endedAtMs }: Played,
): readonly Pick<Room, 'stays' | 'finishedAt'>[] {
  const known = room.stays
    .filter(({ sid }) => noticedAt.has(sid))
    .map((stay) => (answered.has(stay.sid) ? stay : { ...stay, answeredAt: null }));
  const isReported = ({ leaveReportedAt, until }: Stay) =>
    !Number.isFinite(until) || Number.isFinite(leaveReportedAt);
  const early = known.map((stay) => (isReported(stay) ? stay : { ...stay, reason: null }));
  const late = early.map((stay) =>
    isReported(stay) ? stay : { ...stay, until: Math.max(stay.until, missedAt.get(stay.sid) ?? endedAtMs) },
  );
  return [early, late].map((stays) => ({ stays, finishedAt: room.finishedAt }));
}

/** Since when the call is over without a break, by every reading; null: it is not over. */
function overSince(room: Room, played: Played, at: number): number | null {
  const both = readings(room, played);
  const isOverAt = (moment: number) => both.every((reading) => isOver(reading, moment, POLICY));
  const graces = [0, POLICY.agentLeftGraceMs, POLICY.reconnectGraceMs, 10 * POLICY.agentLeftGraceMs];
  const moments = both
    .flatMap(({ stays, finishedAt }) => [
      finishedAt,
      ...stays.flatMap(({ from, until, answeredAt }) => [from, until, answeredAt ?? from]),
    ])
    .flatMap((moment) => graces.map((grace) => moment + grace))
    .filter((moment) => moment <= at)
    .toSorted((a, b) => b - a);
  let since: number | null = null;
  for (const moment of [at, ...moments]) {
    if (!isOverAt(moment)) return since;
    since = moment;
  }
  return since;
}

function expectNoLivingConversationEnded(room: Room, played: Played): void {
  if (!Number.isFinite(played.endedAtMs)) return;
  if (played.endedAtMs >= room.finishedAt) return;
  // When the list was requested: participants may join while the response is in flight.
  expect(partiesAt(room, played.endedAtMs - LATENCY_MS)).toBeLessThan(2);
}

/** Without faults hangup has all facts: no call ends before rule 6 requires it. */
function expectNotEndedEarly(room: Room, { endedAtMs }: Played): void {
  if (!Number.isFinite(endedAtMs) || endedAtMs >= room.finishedAt) return;
  // A grace may run out while LiveKit's answer is on the way.
  const moments = [endedAtMs - LATENCY_MS, endedAtMs];
  expect(moments.some((at) => isOver(room, at, POLICY))).toBe(true);
}

function expectEndedInTime(room: Room, played: Played, boundMs: number): void {
  // Up to the end, or to the last moment that was played.
  const until = Math.min(played.endedAtMs, played.playedUntilMs);
  const since = overSince(room, played, until);
  if (since === null) return;
  expect(until - since).toBeLessThanOrEqual(boundMs);
}

/** The conversation is as long as it was, but for the time that was not reported. */
function expectDuration(room: Room, played: Played, toleranceMs: number): void {
  const { call, endedAtMs, noticedAt, answerSeenAt } = played;
  if (call.status !== 'completed' || call.answeredAt === null || call.endedAt === null) return;
  const isUnreported = ({ until, leaveReportedAt }: Stay) => until < leaveReportedAt;
  const hasUnreported = room.stays.some(isUnreported);
  const reported = readings(room, played).map(({ stays, finishedAt }) => ({
    finishedAt,
    stays: stays.map((stay) => {
      const seenAt = answerSeenAt.get(stay.sid) ?? null;
      // A participant whose leaving was not reported seems to answer an inbound phone that it did not meet.
      const mistakenAt = hasUnreported && stay.kind === 'inbound' ? seenAt : null;
      // The answer of a phone that left before it was seen is not reported.
      return { ...stay, answeredAt: seenAt === null ? null : (stay.answeredAt ?? mistakenAt) };
    }),
  }));
  // Before it noticed a participant, hangup was not able to count it.
  const noticed = reported.map(({ stays, finishedAt }) => ({
    finishedAt,
    stays: stays.map((stay) => ({ ...stay, from: noticedAt.get(stay.sid) ?? stay.from })),
  }));
  const known = [...reported, ...noticed];
  const closest = (time: number, times: readonly number[]) =>
    Math.min(...times.map((one) => Math.abs(time - EPOCH - one)));
  expect(closest(call.answeredAt, known.map(activeSince))).toBeLessThanOrEqual(toleranceMs);
  const ends = readings(room, played).map((reading) => conversationUntil(reading, endedAtMs));
  expect(closest(call.endedAt, ends)).toBeLessThanOrEqual(toleranceMs);
}

const play = (history: History) => {
  const room = playRoom(history);
  return { room, played: playToHangup(room) };
};

describe('a random room', () => {
  test('never ends its call while two parties are present, and ends the call within one reconciliation after that, without faults', () => {
    fc.assert(
      fc.property(aRoom(NO_TROUBLE), (history) => {
        const { room, played } = play(history);
        expectNoLivingConversationEnded(room, played);
        expectNotEndedEarly(room, played);
        expectEndedInTime(room, played, COMPARED_EVERY_MS);
        // No webhook reports an answer; phones are polled every second.
        expectDuration(room, played, POLLED_EVERY_MS + LATENCY_MS + 1);
      }),
      RUNS,
    );
  });

  test('gives its call the right duration, except for unreported time, when webhooks are lost and repeated', () => {
    fc.assert(
      fc.property(aRoom(LOSSES), (history) => {
        const { room, played } = play(history);
        expectNoLivingConversationEnded(room, played);
        expectDuration(room, played, NOTICED_WITHIN_MS + LATENCY_MS);
      }),
      RUNS,
    );
  });

  test('never ends its call while two parties are present, and ends the call at last, when webhooks are lost, late and repeated', () => {
    fc.assert(
      fc.property(aRoom(SOME_TROUBLE), (history) => {
        const { room, played } = play(history);
        expectNoLivingConversationEnded(room, played);
        const noticeMs = Math.max(NOTICED_WITHIN_MS, MAX_DELAY_MS);
        expectEndedInTime(room, played, noticeMs + POLICY.agentLeftGraceMs + COMPARED_EVERY_MS);
      }),
      RUNS,
    );
  });
});
