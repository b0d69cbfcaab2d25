import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { AccessToken } from 'livekit-server-sdk';
import { z } from 'zod';
import { parseJson } from '../domain/json.ts';
import type { LiveKitFacts, LiveKitVerdict } from '../ports/diagnostics.ts';
import type { LiveKitServer } from '../ports/livekit.ts';
import type { Clock } from '../ports/system.ts';
import { agentsFor } from './agents.ts';
import { formatNetworkError, post, TOKEN_TTL } from './transport/twirp.ts';

const RoomList = z.object({ rooms: z.array(z.object({ name: z.string() })) });

/**
 * Requests LiveKit's rooms once. Never rejects: a failure is a result. The client of the SDK would hide the Date header.
 */
export async function probeLiveKit(
  server: LiveKitServer,
  { timeoutMs }: { timeoutMs: number },
  clock: Clock,
): Promise<LiveKitFacts> {
  const token = new AccessToken(server.apiKey, server.apiSecret, { ttl: TOKEN_TTL });
  token.addGrant({ roomList: true });
  const authorization = `Bearer ${await token.toJwt()}`;
  const sentAt = clock.now();
  const deadline = AbortSignal.timeout(timeoutMs);
  let response: IncomingMessage | null = null;
  try {
    response = await post(new URL(`${server.url}/twirp/livekit.RoomService/ListRooms`), {
      headers: { 'content-type': 'application/json', authorization },
      body: '{}',
      agents: agentsFor(server.url, server.proxy ?? null),
      signal: deadline,
    });
    const localTime = (sentAt + clock.now()) / 2;
    const { statusCode: status = 0, headers } = response;
    return {
      kind: 'answered',
      verdict: verdictOf(status, await text(response)),
      clockSkewMs: clockSkew(headers.date, localTime),
    };
  } catch (error) {
    if (deadline.aborted) return { kind: 'unreachable', detail: `no response within ${timeoutMs} ms` };
    return { kind: 'unreachable', detail: formatNetworkError(error) };
  } finally {
    response?.destroy();
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
