import { type Call, newCall } from '../../src/domain/call.ts';
import { isLive } from '../../src/domain/call-status.ts';
import {
  applyRoomEvent,
  applyTransition,
  type Decision,
  type Transition,
} from '../../src/domain/call-transition.ts';
import { applyObservation, type Observation } from '../../src/domain/observation.ts';
import type { Participant, RoomEvent, RoomEventPayload } from '../../src/domain/room-event.ts';
import { versionOf } from '../../src/domain/roster.ts';
import type { ParticipantList } from '../../src/domain/roster-changes.ts';
import type { Room } from './room-model.ts';
import { POLICY } from './rosters.ts';

/* Applies webhooks of a model room in any order. LiveKit's lists agree with the webhooks that have arrived. */

/** A session of a room; `createdAt` is its start. */
export interface Session {
  readonly sid: string;
  readonly createdAt: number;
  readonly name?: string;
}

export const FIRST_SESSION: Session = { sid: 'RM_1', createdAt: 10_000_000 };
export const LATER_SESSION: Session = { sid: 'RM_2', createdAt: 50_000_000 };
/** A time after every grace period of both sessions. */
export const AFTER_GRACE_PERIODS = 90_000_000;

export interface Arrival {
  readonly event: RoomEvent;
  readonly arrivesAt: number;
}

/** Returns the webhooks of a room with their arrival times. Each session has its own sids and the same identities. */
export function arrivalsOf(
  { webhooks }: Pick<Room, 'webhooks'>,
  { sid, createdAt, name = 'room' }: Session = FIRST_SESSION,
): Arrival[] {
  const inSession = (participantSid: string) => `${sid} ${participantSid}`;
  const shifted = (payload: RoomEventPayload): RoomEventPayload => {
    if (payload.kind === 'audio_published')
      return { ...payload, participantSid: inSession(payload.participantSid) };
    if (!('participant' in payload)) return payload;
    const { participant } = payload;
    const joinedAt = (participant.joinedAt ?? 0) + createdAt;
    return { ...payload, participant: { ...participant, sid: inSession(participant.sid), joinedAt } };
  };
  return webhooks.map(({ id, at, arrivesAt, payload }) => ({
    event: {
      id: `${name} ${sid} ${id}`,
      at: at + createdAt,
      // Events of tracks do not have the creation time of the room.
      room: { name, sid, createdAt: payload.kind === 'audio_published' ? null : createdAt, metadata: '' },
      payload: shifted(payload),
    },
    arrivesAt: arrivesAt + createdAt,
  }));
}

/** Returns a list of participants that agrees with the roster. */
export function agreeingList({ roster }: Pick<Call, 'roster'>, requestedAt: number): ParticipantList {
  const participants = (roster?.members ?? []).flatMap(
    ({ departure, sid, identity, role, joinedAt, phone }): Participant[] =>
      departure === null ? [{ sid, identity, role, joinedAt, phone }] : [],
  );
  return { participants, requestedAt, version: versionOf(roster), isTrusted: true };
}

export interface Outcome {
  readonly call: Call;
  /** The call after each change, in order. */
  readonly versions: readonly Call[];
  readonly decisions: readonly Decision[];
  /** An event's id, or `review` or `absence`; null: the call is live. */
  readonly endedBy: string | null;
}

/** Applies each event once, runs due reviews and finally reports the room absent, as the store and the loops do. */
export function applyAll(
  arrivals: readonly Arrival[],
  {
    detectsDuplicates = true,
    isRoomAbsentAtEnd = true,
    isReviewed = true,
    reviewedUntil = 0,
    isAdoptable = false,
    parts = {},
  } = {},
): Outcome {
  let call = newCall({ id: 'c', organizationId: 'o', roomName: 'room', createdAt: 1, ...parts });
  let endedBy: string | null = null;
  const versions = [call];
  const decisions: Decision[] = [];
  const received = new Set<string>();
  const change = (applied: Transition, now: number, by: string) => {
    const next = applyTransition(call, applied, now);
    if (isLive(call.status) && !isLive(next.status)) endedBy = by;
    decisions.push(applied.decision);
    call = next;
    versions.push(call);
  };
  const observe = (observation: Observation, now: number, by: string) =>
    change(applyObservation(call, observation, { policy: POLICY, now, isAdoptable }), now, by);
  const reviewUntil = (moment: number) => {
    for (let rounds = 0; isReviewed && call.reviewAt !== null && call.reviewAt <= moment; rounds += 1) {
      if (rounds > 100) throw new Error('reviews without end');
      const now = call.reviewAt;
      observe({ kind: 'participants', callId: call.id, ...agreeingList(call, now) }, now, 'review');
    }
  };
  for (const { event, arrivesAt: now } of arrivals) {
    reviewUntil(now - 1);
    if (detectsDuplicates && received.has(event.id)) continue;
    received.add(event.id);
    change(applyRoomEvent(call, event, { policy: POLICY, now, isAdoptable }), now, event.id);
  }
  reviewUntil(reviewedUntil);
  if (isRoomAbsentAtEnd) {
    const now = Math.max(AFTER_GRACE_PERIODS, arrivals.at(-1)?.arrivesAt ?? 0);
    reviewUntil(now);
    if (isLive(call.status))
      observe({ kind: 'room_absent', callId: call.id, sid: call.roomId }, now, 'absence');
  }
  return { call, versions, decisions, endedBy };
}
