import { join } from 'node:path';
import { createTRPCUntypedClient, httpBatchLink } from '@trpc/client';
import type { Bench } from '../context.ts';
import type { Group, Row, Side } from '../group.ts';
import { createDatabase, expectCount, type HangupServer, startHangup } from '../hangup.ts';
import { startLiveKitStub } from '../livekit.ts';
import { type HttpRequest, RequestFile } from '../load.ts';
import { callId } from '../names.ts';
import { seedEndedCalls, seedInitiatedCalls } from '../seed.ts';

const CALLS = 10_000;
const CANCELS_PER_SECOND = 20_000;
const CONNECTIONS = 64;

const row = (name: string, title: string): Row => ({
  name,
  title: `${title} over tRPC, as its own client sends it, 64 at once`,
  unit: '/s',
  measured: 'trpc',
  against: 'rest',
  baseline: 'the same over REST',
  goal: { ratioAtLeast: 0.5 },
});

export const trpc: readonly Group[] = [
  { rows: [row('trpc-get', 'GET one')], open: openReads },
  { rows: [row('trpc-cancel', 'DELETE')], open: openCancels },
];

async function openReads(bench: Bench): Promise<Record<string, Side>> {
  const livekit = await startLiveKitStub(bench);
  const database = createDatabase(bench, 'trpc');
  seedEndedCalls(database, 'ended', CALLS + 1);
  const server = await startHangup(bench, { database, livekitPort: livekit.port });
  const spare = callId('ended', CALLS);
  const captured = await capture(server, (client) => client.query('calls.get', { callId: spare }));
  const ids = Array.from({ length: CALLS }, (_, i) => callId('ended', (i * 7_919) % CALLS));
  const measure = (name: string, requests: readonly HttpRequest[]): Side => {
    const file = new RequestFile(join(bench.folder, `${name}.requests`), requests, { isRepeatable: true });
    return async () => {
      const load = { port: server.port, requests: file, connections: CONNECTIONS, seconds: bench.seconds };
      const { count, seconds } = await bench.generator.run(load);
      return count / seconds;
    };
  };
  const { headers } = server;
  return {
    trpc: measure(
      'trpc',
      ids.map((id) => withId(captured, spare, id)),
    ),
    rest: measure(
      'rest',
      ids.map((id) => ({ method: 'GET', path: `/api/v1/calls/${id}`, headers })),
    ),
  };
}

async function openCancels(bench: Bench): Promise<Record<string, Side>> {
  const livekit = await startLiveKitStub(bench);
  const database = createDatabase(bench, 'trpc');
  const calls = Math.ceil(CANCELS_PER_SECOND * bench.seconds * bench.runs);
  seedInitiatedCalls(database, 'trpc', calls);
  seedInitiatedCalls(database, 'rest', calls);
  seedInitiatedCalls(database, 'spare', 1);
  const server = await startHangup(bench, { database, livekitPort: livekit.port });
  const spare = callId('spare', 0);
  const captured = await capture(server, (client) => client.mutation('calls.cancel', { callId: spare }));
  const files: RequestFile[] = [];
  const measure = (name: string, requestOf: (id: string) => HttpRequest): Side => {
    const all = Array.from({ length: calls }, (_, i) => requestOf(callId(name, i)));
    const requests = new RequestFile(join(bench.folder, `${name}.requests`), all, { isRepeatable: false });
    files.push(requests);
    return async () => {
      const load = { port: server.port, requests, connections: CONNECTIONS, seconds: bench.seconds };
      const { count, seconds } = await bench.generator.run(load);
      const cancelled = files.reduce((sum, { next }) => sum + next, 1);
      expectCount(database.file, "SELECT count(*) FROM calls WHERE status = 'cancelled'", cancelled);
      return count / seconds;
    };
  };
  const { headers } = server;
  return {
    trpc: measure('trpc', (id) => withId(captured, spare, id)),
    rest: measure('rest', (id) => ({ method: 'DELETE', path: `/api/v1/calls/${id}`, headers })),
  };
}

type Client = ReturnType<typeof createTRPCUntypedClient>;

/** Returns the request that tRPC's client sends. */
async function capture(
  { url, headers }: HangupServer,
  send: (client: Client) => Promise<unknown>,
): Promise<HttpRequest> {
  let captured: HttpRequest | null = null;
  const link = httpBatchLink({
    url: `${url}/trpc`,
    headers,
    fetch: async (input, init) => {
      const { signal = null, ...options } = init ?? {};
      const request = new Request(input, { ...options, signal });
      const { method } = request;
      if (method !== 'GET' && method !== 'POST') throw new Error(`tRPC's client sent ${method}`);
      const { pathname, search } = new URL(request.url);
      const body = await request.clone().text();
      captured = { method, path: pathname + search, headers: Object.fromEntries(request.headers), body };
      return fetch(request);
    },
  });
  await send(createTRPCUntypedClient({ links: [link] }));
  if (captured === null) throw new Error("tRPC's client sent no request");
  return captured;
}

function withId({ path, body = '', ...request }: HttpRequest, from: string, to: string): HttpRequest {
  return { ...request, path: path.replace(from, to), body: body.replace(from, to) };
}
