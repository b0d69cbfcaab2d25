import { type Applied, applyRoomEvent, type EventPolicy, finished, NOTHING } from './apply-room-event.ts';
import { type Call, isLive } from './call.ts';
import type { RoomDeletion } from './room-deletion.ts';
import type { EventParticipant, EventRoom, RoomSign } from './room-event.ts';
import type { Timestamp } from './time.ts';

/**
 * What was seen by asking LiveKit, rather than told by its webhooks.
 * room: a room that is listed. participant: somebody in the room of a call.
 * room_absent, phone_absent: what the record has and LiveKit has not, twice. never_started: a call that no room was
 * ever seen of.
 */
export type Sighting =
  | { readonly kind: 'room'; readonly room: EventRoom; readonly askedAt: Timestamp }
  | { readonly kind: 'participant'; readonly callId: string; readonly participant: EventParticipant }
  | { readonly kind: 'room_absent'; readonly callId: string; readonly sid: string | null }
  | { readonly kind: 'phone_absent'; readonly callId: string; readonly sid: string }
  | { readonly kind: 'never_started'; readonly callId: string };

/** What a sighting means for a call. */
export function applySighting(
  { call, deletion }: { call: Call; deletion: RoomDeletion | null },
  sighting: Sighting,
  circumstances: { policy: EventPolicy; now: Timestamp },
): Applied {
  const { now } = circumstances;
  const applied = { decision: NOTHING, life: call.life, cameBack: null, at: now };
  if (sighting.kind === 'room') {
    if (!isLive(call.status)) {
      return isNewsOfEnded({ call, deletion }, sighting, circumstances)
        ? { ...applied, decision: { kind: 'delete_room', why: 'the room of an ended call is still there' } }
        : applied;
    }
    return seen(call, sighting.room, { kind: 'room_started' }, circumstances);
  }
  if (!isLive(call.status)) return applied;
  switch (sighting.kind) {
    case 'participant': {
      if (call.life === null) return applied;
      const room = { name: call.roomName, sid: call.life.sid, createdAt: null, metadata: '' };
      const sign = { kind: 'participant_seen', participant: sighting.participant } as const;
      return seen(call, room, sign, circumstances);
    }
    case 'room_absent':
      return call.roomId === sighting.sid && hasBegun(call)
        ? { ...applied, decision: finished(call, call.life) }
        : applied;
    case 'phone_absent':
      return call.life?.phone?.sid === sighting.sid && call.life.phone.disconnectReason === null
        ? { ...applied, decision: finished(call, call.life) }
        : applied;
    case 'never_started':
      return call.status === 'initiated' && call.life === null
        ? { ...applied, decision: { kind: 'end', status: 'failed', failureReason: 'never started' } }
        : applied;
  }
}

/** Of a call that is registered late, its room's end may be the first sign. */
const hasBegun = ({ status, roomId }: Call) => status !== 'initiated' || roomId !== null;

function seen(
  call: Call,
  room: EventRoom,
  sign: RoomSign,
  circumstances: { policy: EventPolicy; now: Timestamp },
): Applied {
  const at = sign.kind === 'room_started' ? (room.createdAt ?? circumstances.now) : circumstances.now;
  const applied = applyRoomEvent(call, { id: '', at, room, sign }, circumstances);
  // What is seen again and again is written down once.
  const isKnown = JSON.stringify(applied.life) === JSON.stringify(call.life);
  return isKnown ? { ...applied, life: call.life, cameBack: null } : applied;
}

/** Listed after the end, and after its deletion was done; while one is open, or was given up, there is no news in it. */
function isNewsOfEnded(
  { call, deletion }: { call: Call; deletion: RoomDeletion | null },
  { askedAt }: { askedAt: Timestamp },
  { policy, now }: { policy: EventPolicy; now: Timestamp },
): boolean {
  if (call.endedAt === null || now - call.endedAt > policy.guardMs || call.endedAt >= askedAt) return false;
  return deletion === null || (deletion.state === 'completed' && (deletion.finalizedAt ?? 0) < askedAt);
}
