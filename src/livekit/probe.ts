import { AccessToken } from 'livekit-server-sdk';
import { z } from 'zod';
import type { LiveKitFacts } from '../domain/diagnosis.ts';
import type { Clock } from '../domain/ports.ts';
import { TOKEN_TTL } from './twirp.ts';

const Rooms = z.object({ rooms: z.array(z.object({ name: z.string() })) });

/**
 * Asks LiveKit for its rooms, once. Not by the SDK's client, which keeps the Date header to itself. Never rejects
 * for anything that LiveKit or the network does.
 */
export async function probeLiveKit(
  server: { readonly url: string; readonly apiKey: string; readonly apiSecret: string },
  { timeoutMs }: { timeoutMs: number },
  clock: Clock,
): Promise<LiveKitFacts> {
  const token = new AccessToken(server.apiKey, server.apiSecret, { ttl: TOKEN_TTL });
  token.addGrant({ roomList: true });
  const authorization = `Bearer ${await token.toJwt()}`;
  const askedAt = clock.now();
  try {
    const response = await fetch(`${server.url}/twirp/livekit.RoomService/ListRooms`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: '{}',
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const ours = (askedAt + clock.now()) / 2;
    const text = await response.text();
    return {
      kind: 'answered',
      verdict: verdictOf(response.status, text),
      clockAheadMs: clockAhead(response.headers.get('date'), ours),
    };
  } catch (error) {
    return { kind: 'unreachable', detail: describe(error, timeoutMs) };
  }
}

type Verdict = Extract<LiveKitFacts, { kind: 'answered' }>['verdict'];

function verdictOf(status: number, text: string): Verdict {
  // LiveKit repeats the token here, so its words go no further.
  if (status === 401 || status === 403) {
    return { kind: 'refused', by: text.startsWith('invalid API key') ? 'key' : 'token' };
  }
  const rooms = status === 200 ? Rooms.safeParse(parseJson(text)) : null;
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
function clockAhead(date: string | null, ours: number): number | null {
  const theirs = Date.parse(date ?? '');
  return Number.isNaN(theirs) ? null : theirs + 500 - ours;
}

function describe(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${timeoutMs} ms`;
  const { cause } = error;
  return cause instanceof Error ? cause.message || cause.name : error.message;
}
