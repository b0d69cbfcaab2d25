import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { parseJson } from '../domain/json.ts';
import type { LiveKitFacts, LiveKitVerdict } from '../ports/diagnostics.ts';
import type { LiveKitServer } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';
import { createAccessTokens } from './transport/access-tokens.ts';
import { createHttpClient } from './transport/http-client.ts';
import { formatNetworkError } from './transport/twirp.ts';

const RoomList = z.object({ rooms: z.array(z.object({ name: z.string() })) });

/**
 * Requests LiveKit's rooms once. Never rejects: a failure is a result. The client of the SDK would hide the Date header.
 */
export async function probeLiveKit(
  server: LiveKitServer,
  { timeoutMs }: { timeoutMs: number },
  clock: Clock,
): Promise<LiveKitFacts> {
  const authorization = `Bearer ${await createAccessTokens(server, clock)({ roomList: true })}`;
  const sentAt = clock.now();
  const exchange = createHttpClient(server).post({
    path: '/twirp/livekit.RoomService/ListRooms',
    authorization,
    contentType: 'application/json',
    body: '{}',
  });
  const timeout = new Error(`no response within ${timeoutMs} ms`);
  const deadline = setTimeout(() => exchange.abort(timeout), timeoutMs);
  try {
    const { status, headers, body } = await exchange.response;
    const localTime = (sentAt + clock.now()) / 2;
    return {
      kind: 'answered',
      verdict: verdictOf(status, await text(body)),
      clockSkewMs: clockSkew(headers['date'], localTime),
    };
  } catch (error) {
    return { kind: 'unreachable', detail: formatNetworkError(error) };
  } finally {
    clearTimeout(deadline);
    exchange.abort(timeout);
  }
}

function verdictOf(status: number, body: string): LiveKitVerdict {
  // The body contains the token, so it must not be logged.
  if (status === 401 || status === 403) {
    return { kind: 'refused', reason: body.startsWith('invalid API key') ? 'key' : 'token' };
  }
  const rooms = status === 200 ? RoomList.safeParse(parseJson(body)) : null;
  return rooms?.success
    ? { kind: 'accepted', roomNames: rooms.data.rooms.map(({ name }) => name) }
    : { kind: 'not_livekit', status };
}

/**
 * Returns the milliseconds by which LiveKit's clock is ahead; null without a valid Date header. The header is truncated
 * to seconds, so half a second later is the middle.
 */
function clockSkew(date: string | undefined, localTime: number): number | null {
  const remoteTime = Date.parse(date ?? '');
  return Number.isNaN(remoteTime) ? null : remoteTime + 500 - localTime;
}
