import {
  type ParticipantInfo,
  ParticipantInfo_State,
  RoomServiceClient,
  ServerError,
} from 'livekit-server-sdk';
import type { Deadline, LiveParticipant, LiveRoomStatus, Rooms } from '../domain/ports.ts';
import type { DeleteRoomOutcome } from '../domain/room-deletion.ts';
import { kindOf } from './participant-kind.ts';

/** LiveKit's rooms over its Twirp API. Every request has a deadline; what goes wrong is an outcome. */
export function livekitRooms(server: {
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
}): Rooms {
  // The SDK's deadline belongs to the client. Its failover to other regions would multiply the deadline by
  // the regions; our own retries do that work.
  const client = ({ timeoutMs }: Deadline) =>
    new RoomServiceClient(server.url, server.apiKey, server.apiSecret, {
      requestTimeout: timeoutMs / 1000,
      failover: false,
    });
  return {
    async deleteRoom(roomName, deadline) {
      // LiveKit takes an empty name for a room of its own.
      if (roomName === '') throw new Error('a room name must not be empty');
      try {
        await client(deadline).deleteRoom(roomName);
        return { kind: 'deleted' };
      } catch (error) {
        return toOutcome(error, deadline);
      }
    },

    async describeRoom(roomName, deadline) {
      try {
        const participants = await client(deadline).listParticipants(roomName);
        return await describe(roomName, participants, deadline);
      } catch (error) {
        return isNotFound(error) ? EMPTY : null;
      }
    },
  };

  async function describe(
    roomName: string,
    participants: readonly ParticipantInfo[],
    deadline: Deadline,
  ): Promise<LiveRoomStatus> {
    const people = participants.map(toLiveParticipant);
    // A room with nobody in it and no room look the same here, so the list of rooms decides. Its own count of
    // participants lags by seconds and leaves agents out.
    const roomExists = people.length > 0 || (await client(deadline).listRooms([roomName])).length > 0;
    return { roomExists, numParticipants: people.length, participants: people };
  }
}

const EMPTY: LiveRoomStatus = { roomExists: false, numParticipants: 0, participants: [] };

function isNotFound(error: unknown): boolean {
  // The code, not the status: bad_route is a 404 too, and means that this is not a LiveKit.
  return error instanceof ServerError && error.code === 'not_found';
}

function toOutcome(error: unknown, { timeoutMs }: Deadline): DeleteRoomOutcome {
  if (isNotFound(error)) return { kind: 'absent' };
  if (error instanceof ServerError) {
    const code = error.code ?? 'no Twirp code';
    const detail = `${withoutTokens(error.message)} (HTTP ${error.status})`;
    if (error.status >= 500 || error.status === 429 || error.status === 408) {
      return { kind: 'unavailable', detail: `${code}: ${detail}` };
    }
    // Not by the code alone: a token that LiveKit cannot verify is answered in plain text, without one.
    if (error.status === 401 || error.status === 403)
      return { kind: 'refused', by: 'credentials', code, detail };
    return { kind: 'refused', by: error.status === 404 ? 'address' : 'request', code, detail };
  }
  if (error instanceof Error && error.name === 'TimeoutError') {
    return { kind: 'timed_out', detail: `no answer within ${timeoutMs} ms` };
  }
  return { kind: 'unavailable', detail: describeTransportError(error) };
}

/** LiveKit repeats a token that it cannot verify. */
function withoutTokens(text: string): string {
  return text.replaceAll(/\beyJ[\w-]*\.[\w-]+\.[\w-]*/g, '[token]');
}

/** fetch says "fetch failed" and puts the reason into the cause; an answer that is no JSON ends here too. */
function describeTransportError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? `${error.message}: ${cause.message || cause.name}` : error.message;
}

function toLiveParticipant(info: ParticipantInfo): LiveParticipant {
  return {
    identity: info.identity,
    name: info.name,
    kind: kindOf(info),
    state: ParticipantInfo_State[info.state] ?? String(info.state),
    joinedAt: info.joinedAt === 0n ? null : Number(info.joinedAtMs || info.joinedAt * 1000n),
  };
}
