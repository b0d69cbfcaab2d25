import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { getTRPCErrorFromUnknown } from '@trpc/server';
import { toTrpcError } from '../api/errors.ts';
import { errorShape, MAX_BATCH_SIZE } from '../api/trpc.ts';
import type { ErrorListener, HttpRequest } from './request.ts';
import { sendText } from './response.ts';
import type { Route } from './routes.ts';
import type { TrpcCalls } from './trpc-calls.ts';

/** The format of a response depends on these request headers, also where the response comes from tRPC's handler. */
const HEADERS = { vary: 'trpc-accept, accept' };

type Answer =
  | { readonly result: { readonly data: unknown } }
  | { readonly error: ReturnType<typeof errorShape> };

/**
 * Returns the routes of a request that tRPC's standard links send: queries by GET or mutations by POST, with a response in
 * one piece. Returns null for other requests, including those that get an error for the complete batch.
 */
export function findDirectRoutes(
  routes: ReadonlyMap<string, Route>,
  { headers }: HttpRequest,
  { method, paths }: TrpcCalls,
): readonly Route[] | null {
  if ((method !== 'GET' && method !== 'POST') || paths.length > MAX_BATCH_SIZE) return null;
  if (acceptsLines(headers)) return null;
  const type = method === 'GET' ? 'query' : 'mutation';
  const found = paths.flatMap((path) => routes.get(path) ?? []).filter((route) => route.type === type);
  return found.length === paths.length ? found : null;
}

/** Returns whether a client prefers the results of a batch as a stream of lines. */
export function acceptsLines(headers: IncomingHttpHeaders): boolean {
  return headers['trpc-accept'] !== undefined || headers.accept?.includes('application/jsonl') === true;
}

/** Runs the calls and sends their results in the format of tRPC. */
export async function respondDirectly(
  request: HttpRequest,
  response: ServerResponse,
  { calls, routes, onError }: { calls: TrpcCalls; routes: readonly Route[]; onError: ErrorListener },
): Promise<void> {
  const run = async (route: Route, index: number): Promise<Answer> => {
    try {
      return { result: { data: await route.run(calls.requestOf(index, () => calls.readInput(index))) } };
    } catch (cause) {
      const error = toTrpcError(cause) ?? getTRPCErrorFromUnknown(cause);
      onError(error, request);
      return { error: errorShape(error, route) };
    }
  };
  let turn = Promise.resolve();
  const answers = await Promise.all(
    routes.map((route, index) => {
      if (index === 0) return run(route, index);
      // Each call of a batch starts in its own turn of the event loop, so that other requests can run in between.
      turn = turn.then(nextTurn);
      return turn.then(() => run(route, index));
    }),
  );
  const [status = 200, ...otherStatuses] = new Set(answers.map(statusOf));
  sendText(
    request,
    response,
    otherStatuses.length === 0 ? status : MULTI_STATUS,
    JSON.stringify(calls.isBatch ? answers : answers[0]),
    'application/json',
    HEADERS,
  );
}

const MULTI_STATUS = 207;

function statusOf(answer: Answer): number {
  return 'error' in answer ? answer.error.data.httpStatus : 200;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
