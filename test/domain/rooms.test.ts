import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  activeFrom,
  arbitraryRoom,
  type Connection,
  conversationEnd,
  type History,
  isOver,
  LOSSY_DELIVERY,
  MAX_DELAY_MS,
  partiesAt,
  playRoom,
  RELIABLE_DELIVERY,
  type Room,
  UNRELIABLE_DELIVERY,
} from '../harness/room-model.ts';
import {
  EPOCH,
  LATENCY_MS,
  type PlayedRoom,
  POLICY,
  POLL_INTERVAL_MS,
  playToHangup,
  RECONCILE_INTERVAL_MS,
} from '../harness/room-player.ts';

/* hangup's decisions about random rooms, against the reference model. CI runs 20,000 of each. */

const RUNS = { numRuns: Number(process.env['ROOMS'] ?? 1_000) };
/** A departure without a webhook is confirmed by two lists at least 10 s apart. */
const NOTICED_WITHIN_MS = 2 * RECONCILE_INTERVAL_MS + 10_000;

/**
 * Returns the connections as hangup can observe them, with the earliest and the latest possible times. A departure without
 * a webhook is between its real time and the first list without the participant. Omits answers that hangup did not notice.
 */
function observableRooms(
  room: Room,
  { missedAt, answered, noticedAt, endedAtMs }: PlayedRoom,
): readonly Pick<Room, 'connections' | 'finishedAt'>[] {
  const observed = room.connections
    .filter(({ sid }) => noticedAt.has(sid))
    .map((connection) => (answered.has(connection.sid) ? connection : { ...connection, answeredAt: null }));
  const hasLeaveWebhook = ({ leaveReceivedAt, until }: Connection) =>
    !Number.isFinite(until) || Number.isFinite(leaveReceivedAt);
  const early = observed.map((connection) =>
    hasLeaveWebhook(connection) ? connection : { ...connection, reason: null },
  );
  const late = early.map((connection) =>
    hasLeaveWebhook(connection)
      ? connection
      : { ...connection, until: Math.max(connection.until, missedAt.get(connection.sid) ?? endedAtMs) },
  );
  return [early, late].map((connections) => ({ connections, finishedAt: room.finishedAt }));
}

/** Returns since when the call is over by all observable rooms, without interruption; null if the call is not over. */
function overSince(room: Room, played: PlayedRoom, at: number): number | null {
  const candidates = observableRooms(room, played);
  const isOverAt = (moment: number) => candidates.every((candidate) => isOver(candidate, moment, POLICY));
  const graces = [0, POLICY.agentLeftGraceMs, POLICY.reconnectGraceMs, 10 * POLICY.agentLeftGraceMs];
  const moments = candidates
    .flatMap(({ connections, finishedAt }) => [
      finishedAt,
      ...connections.flatMap(({ from, until, answeredAt }) => [from, until, answeredAt ?? from]),
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

function expectNoConversationEnded(room: Room, played: PlayedRoom): void {
  if (!Number.isFinite(played.endedAtMs)) return;
  if (played.endedAtMs >= room.finishedAt) return;
  // Participants may join after the request for the list, before its response.
  expect(partiesAt(room, played.endedAtMs - LATENCY_MS)).toBeLessThan(2);
}

/** Without faults, hangup observes everything: no call ends before rule 6 requires the end. */
function expectNotEndedEarly(room: Room, { endedAtMs }: PlayedRoom): void {
  if (!Number.isFinite(endedAtMs) || endedAtMs >= room.finishedAt) return;
  // A grace period may expire between the request to LiveKit and its response.
  const moments = [endedAtMs - LATENCY_MS, endedAtMs];
  expect(moments.some((at) => isOver(room, at, POLICY))).toBe(true);
}

function expectEndedInTime(room: Room, played: PlayedRoom, boundMs: number): void {
  const until = Math.min(played.endedAtMs, played.playedUntilMs);
  const since = overSince(room, played, until);
  if (since === null) return;
  expect(until - since).toBeLessThanOrEqual(boundMs);
}

/** Expects the duration of the real conversation, except for times without a webhook. */
function expectDuration(room: Room, played: PlayedRoom, toleranceMs: number): void {
  const { call, endedAtMs, noticedAt, answerSeenAt } = played;
  if (call.status !== 'completed' || call.answeredAt === null || call.endedAt === null) return;
  const isLeaveMissing = ({ until, leaveReceivedAt }: Connection) => until < leaveReceivedAt;
  const hasMissingLeave = room.connections.some(isLeaveMissing);
  const reported = observableRooms(room, played).map(({ connections, finishedAt }) => ({
    finishedAt,
    connections: connections.map((connection) => {
      const seenAt = answerSeenAt.get(connection.sid) ?? null;
      // A participant whose leave was lost seems to answer an inbound phone that joined after the leave.
      const mistakenAt = hasMissingLeave && connection.kind === 'inbound' ? seenAt : null;
      // No webhook reports the answer of a phone that left before hangup noticed the answer.
      return { ...connection, answeredAt: seenAt === null ? null : (connection.answeredAt ?? mistakenAt) };
    }),
  }));
  // hangup counts a participant from the time at which it noticed the participant.
  const noticed = reported.map(({ connections, finishedAt }) => ({
    finishedAt,
    connections: connections.map((connection) => ({
      ...connection,
      from: noticedAt.get(connection.sid) ?? connection.from,
    })),
  }));
  const candidates = [...reported, ...noticed];
  const closest = (time: number, times: readonly number[]) =>
    Math.min(...times.map((other) => Math.abs(time - EPOCH - other)));
  expect(closest(call.answeredAt, candidates.map(activeFrom))).toBeLessThanOrEqual(toleranceMs);
  const ends = observableRooms(room, played).map((candidate) => conversationEnd(candidate, endedAtMs));
  expect(closest(call.endedAt, ends)).toBeLessThanOrEqual(toleranceMs);
}

const play = (history: History) => {
  const room = playRoom(history);
  return { room, played: playToHangup(room) };
};

describe('a random room', () => {
  test('without faults, never ends its call while two parties are present, and then ends the call within one reconciliation', () => {
    fc.assert(
      fc.property(arbitraryRoom(RELIABLE_DELIVERY), (history) => {
        const { room, played } = play(history);
        expectNoConversationEnded(room, played);
        expectNotEndedEarly(room, played);
        expectEndedInTime(room, played, RECONCILE_INTERVAL_MS);
        // No webhook reports an answer; phones are polled every second.
        expectDuration(room, played, POLL_INTERVAL_MS + LATENCY_MS + 1);
      }),
      RUNS,
    );
  });

  test('gives its call the right duration, except for times without a webhook, when webhooks are lost and repeated', () => {
    fc.assert(
      fc.property(arbitraryRoom(LOSSY_DELIVERY), (history) => {
        const { room, played } = play(history);
        expectNoConversationEnded(room, played);
        expectDuration(room, played, NOTICED_WITHIN_MS + LATENCY_MS);
      }),
      RUNS,
    );
  });

  test('never ends its call while two parties are present, and ends the call in time, when webhooks are lost, late or repeated', () => {
    fc.assert(
      fc.property(arbitraryRoom(UNRELIABLE_DELIVERY), (history) => {
        const { room, played } = play(history);
        expectNoConversationEnded(room, played);
        const noticeMs = Math.max(NOTICED_WITHIN_MS, MAX_DELAY_MS);
        expectEndedInTime(room, played, noticeMs + POLICY.agentLeftGraceMs + RECONCILE_INTERVAL_MS);
      }),
      RUNS,
    );
  });
});
