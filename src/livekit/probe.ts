import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { AccessToken } from 'livekit-server-sdk';
import { z } from 'zod';
import type { LiveKitFacts } from '../doctor/diagnosis.ts';
import type { HttpProxy } from '../platform/proxy.ts';
import type { Clock } from '../ports/system.ts';
import { agentsFor } from './agents.ts';
import { describeFault, post, TOKEN_TTL } from './transport/twirp.ts';

const Rooms = z.object({ rooms: z.array(z.object({ name: z.string() })) });

/**
 * Asks LiveKit for its rooms, once. Not by the SDK's client, which keeps the Date header to itself. Never rejects
 * for anything that LiveKit or the network does.
 */
export async function probeLiveKit(
  server: {
    readonly url: string;
    readonly apiKey: string;
    readonly apiSecret: string;
    readonly proxy?: HttpProxy | null;
  },
  { timeoutMs }: { timeoutMs: number },
  clock: Clock,
): Promise<LiveKitFacts> {
  const token = new AccessToken(server.apiKey, server.apiSecret, { ttl: TOKEN_TTL });
  token.addGrant({ roomList: true });
  const authorization = `Bearer ${await token.toJwt()}`;
  const askedAt = clock.now();
  const overdue = AbortSignal.timeout(timeoutMs);
  let response: IncomingMessage | null = null;
  try {
    response = await post(new URL(`${server.url}/twirp/livekit.RoomService/ListRooms`), {
      headers: { 'content-type': 'application/json', authorization },
      body: '{}',
      agents: agentsFor(server.url, server.proxy ?? null),
      signal: overdue,
    });
    const ours = (askedAt + clock.now()) / 2;
    const { statusCode: status = 0, headers } = response;
    return {
      kind: 'answered',
      verdict: verdictOf(status, await text(response)),
      clockAheadMs: clockAhead(headers.date, ours),
    };
  } catch (error) {
    if (overdue.aborted) return { kind: 'unreachable', detail: `no answer within ${timeoutMs} ms` };
    return { kind: 'unreachable', detail: describeFault(error) };
  } finally {
    response?.destroy();
  }
}

type Verdict = Extract<LiveKitFacts, { kind: 'answered' }>['verdict'];

function verdictOf(status: number, said: string): Verdict {
  // LiveKit repeats the token here, so its words go no further.
  if (status === 401 || status === 403) {
    return { kind: 'refused', by: said.startsWith('invalid API key') ? 'key' : 'token' };
  }
  const rooms = status === 200 ? Rooms.safeParse(parseJson(said)) : null;
  return rooms?.success
    ? { kind: 'accepted', roomNames: rooms.data.rooms.map(({ name }) => name) }
    : { kind: 'no_livekit', status };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The header has whole seconds, cut off: half a second is their middle. */
function clockAhead(date: string | undefined, ours: number): number | null {
  const theirs = Date.parse(date ?? '');
  return Number.isNaN(theirs) ? null : theirs + 500 - ours;
}
