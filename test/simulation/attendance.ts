import { DisconnectReason, ParticipantInfo_Kind } from '@livekit/protocol';
import type { ParticipantInfo, WebhookEvent } from 'livekit-server-sdk';
import type { VirtualClock } from './virtual-clock.ts';

export interface Party {
  readonly sid: string;
  readonly identity: string;
  readonly isPhone: boolean;
  /** A dispatch rule accepted the call. */
  readonly isInbound: boolean;
  readonly since: number;
}

/**
 * The actual parties in each room session, from LiveKit's events before any of them is lost. Shares no code with hangup.
 */
export class Attendance {
  /** Names of rooms that LiveKit closed while they had dependent participants. */
  readonly closedRooms = new Set<string>();
  readonly #virtualClock: VirtualClock;
  /** By the sid of the room, then by the sid of the participant. */
  readonly #sessions = new Map<string, Map<string, Party>>();
  readonly #sidOf = new Map<string, string>();

  constructor(virtualClock: VirtualClock) {
    this.#virtualClock = virtualClock;
  }

  note({ event, room, participant }: WebhookEvent): void {
    if (room === undefined) return;
    const parties = this.#sessions.get(room.sid) ?? new Map<string, Party>();
    this.#sessions.set(room.sid, parties);
    switch (event) {
      case 'room_started':
        this.#sidOf.set(room.name, room.sid);
        return;
      case 'room_finished':
        this.#sessions.delete(room.sid);
        if (this.#sidOf.get(room.name) === room.sid) this.#sidOf.delete(room.name);
        return;
      case 'participant_joined': {
        if (participant === undefined) return;
        const isPhone =
          participant.kind === ParticipantInfo_Kind.SIP ||
          participant.kind === ParticipantInfo_Kind.CONNECTOR;
        if (!isPhone && !isPerson(participant)) return;
        const { sid, identity } = participant;
        const isInbound = participant.attributes['sip.ruleID'] !== undefined;
        parties.set(sid, { sid, identity, isPhone, isInbound, since: this.#virtualClock.now });
        return;
      }
      case 'participant_left':
      case 'participant_connection_aborted':
        // The simulation has no migrations, after which a participant stays.
        if (participant === undefined) return;
        parties.delete(participant.sid);
        if (participant.disconnectReason === DisconnectReason.ROOM_CLOSED) this.closedRooms.add(room.name);
    }
  }

  /** A node or all of LiveKit died: all participants are disconnected. */
  clear(): void {
    this.#sessions.clear();
  }

  /** Returns the parties of a session that have been there for at least `forMs`. */
  inSession(sid: string, forMs = 0): readonly Party[] {
    const latest = this.#virtualClock.now - forMs;
    return [...(this.#sessions.get(sid)?.values() ?? [])].filter(({ since }) => since <= latest);
  }

  /** Returns the parties of the current session of a room. */
  inRoom(roomName: string, forMs = 0): readonly Party[] {
    const sid = this.#sidOf.get(roomName);
    return sid === undefined ? [] : this.inSession(sid, forMs);
  }
}

function isPerson({ kind, permission }: ParticipantInfo): boolean {
  if (kind !== ParticipantInfo_Kind.STANDARD || permission === undefined) return false;
  return permission.canPublish && !permission.hidden && !permission.agent && !permission.recorder;
}
