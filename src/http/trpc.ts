import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type AnyTRPCRouter, TRPCError } from '@trpc/server';
import { resolveResponse } from '@trpc/server/http';
import { badRequest, publicError, unrecognized } from '../api/errors.ts';
import { type Context, MAX_BATCH } from '../api/trpc.ts';
import {
  assertJson,
  assertNoBody,
  decodeJson,
  describeProblem,
  MALFORMED_BODY,
  parseJson,
  readBody,
} from './body.ts';
import { findJsonProblems } from './json.ts';
import { decodeText, splitQuery } from './query.ts';
import { sendText } from './response.ts';

/**
 * tRPC's protocol over HTTP. Its own adapter replaces bytes that are not UTF-8, drops query parameters, decodes
 * paths and answers HEAD without the headers of GET: here each of them is read, or refused, as over REST.
 */
export function createTrpcHandler({
  router,
  onFault,
}: {
  router: AnyTRPCRouter;
  onFault: (error: unknown, request: IncomingMessage) => void;
}): (
  request: IncomingMessage,
  response: ServerResponse,
  target: { path: string; search: string },
  context: Context,
) => Promise<void> {
  return async (request, response, { path: encodedPath, search }, context) => {
    // Batches join paths by commas, which some proxies encode. Nothing else of a path is decoded.
    const path = encodedPath.replaceAll(/%2C/gi, ',');
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const inputs = new Inputs(path.split(',').length);
    const url = new URL('http://hangup/trpc');
    const query = inputs.readQuery(search, { isRead: method === 'GET' });
    for (const [name, value] of query) url.searchParams.set(name, value);
    if (method === 'GET') inputs.refuseAll(() => assertNoBody(request));
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const body = () => inputs.readBody(request, response);
    const answer = await resolveResponse({
      req: new Request(url, {
        // Any other is a 405, and Request refuses some.
        method: method === 'GET' || method === 'POST' ? method : 'PUT',
        // The real one is judged with the body, which no request without a valid key reaches.
        headers: { ...acceptOf(request), 'content-type': 'application/json' },
        signal: gone.signal,
        ...(method === 'POST' && { body: lazily(body), duplex: 'half' }),
      }),
      path: encodeURIComponent(path),
      router,
      error: null,
      createContext: () =>
        Promise.resolve({ ...context, refusalOf: (batchIndex: number) => inputs.refusalOf(batchIndex) }),
      maxBatchSize: MAX_BATCH,
      onError: ({ error }) => {
        if (publicError(error).code >= 500) onFault(error, request);
      },
    });
    await send(request, response, answer);
  };
}

/** What chooses the form of the answer. */
function acceptOf({ headers }: IncomingMessage): Record<string, string> {
  const chosen = ['accept', 'trpc-accept'].map((name) => [name, headers[name]] as const);
  return Object.fromEntries(
    chosen.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}

/** Read when tRPC asks for it, and not before. */
function lazily(read: () => Promise<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const bytes = await read();
        if (bytes.length > 0) controller.enqueue(bytes);
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * The inputs of one request. One that is refused is kept from tRPC, which would give the reason to the other calls of
 * its batch too, and before 404 and 403: the procedures ask for it in their order of checks.
 */
class Inputs {
  private readonly calls: number;
  private isBatch = false;
  private refusedAll: TRPCError | null = null;
  private readonly refused = new Map<number, TRPCError>();

  constructor(calls: number) {
    this.calls = calls;
  }

  refusalOf(batchIndex: number): TRPCError | null {
    return this.refusedAll ?? this.refused.get(batchIndex) ?? null;
  }

  /** @returns false when it was refused */
  refuseAll(check: () => void): boolean {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof TRPCError)) throw error;
      this.refusedAll ??= error;
      return false;
    }
  }

  /** The part of a query string that tRPC may see: also of one that is refused, the call that an input names. */
  readQuery(search: string, { isRead }: { isRead: boolean }): ReadonlyMap<string, string> {
    const query = new Map<string, string>();
    const given = new Map<string, string>();
    const problemOf = (name: string, raw: string) => {
      if (name !== 'batch' && !(isRead && name === 'input')) return unrecognized([name]);
      if (given.has(name)) return `${name}: expected once`;
      return name === 'batch' && raw !== '1' ? 'batch: expected 1' : null;
    };
    this.refuseAll(() => {
      for (const { name, raw } of splitQuery(search)) {
        const problem = problemOf(name, raw);
        if (problem === null) given.set(name, raw);
        else this.refusedAll ??= badRequest(problem);
      }
    });
    this.isBatch = given.has('batch');
    if (this.isBatch) query.set('batch', '1');
    const raw = given.get('input');
    this.refuseAll(() => {
      if (raw === undefined) return;
      const text = decodeInput(raw);
      this.check(text, 'input: malformed JSON');
      query.set('input', text);
    });
    return query;
  }

  /** The same of a body. */
  async readBody(request: IncomingMessage, response: ServerResponse): Promise<Uint8Array> {
    const bytes = await readBody(request, response);
    if (bytes.length === 0) return bytes;
    this.refuseAll(() => assertJson(request.headers));
    const isRead = this.refuseAll(() => this.check(decodeJson(bytes), MALFORMED_BODY));
    return isRead ? bytes : new Uint8Array();
  }

  /** @throws TRPCError for a text that has no input of a call */
  private check(text: string, malformed: string): void {
    const value = parseJson(text, malformed);
    if (this.isBatch) this.assertIndexes(value);
    for (const { path, message } of findJsonProblems(text)) {
      const [index, ...inside] = this.isBatch ? path : [0, ...path];
      const error = badRequest(describeProblem({ path: inside, message }));
      if (index === undefined) throw error;
      if (!this.refused.has(Number(index))) this.refused.set(Number(index), error);
    }
  }

  /** A batch is an object whose names are the indexes of its calls. */
  private assertIndexes(value: unknown): void {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw badRequest('input: expected an object with the inputs of the batch by their index');
    }
    const indexes = Array.from({ length: this.calls }, (_, index) => String(index));
    const unknown = Object.keys(value).filter((name) => !indexes.includes(name));
    if (unknown.length > 0) throw badRequest(unrecognized(unknown));
  }
}

function decodeInput(raw: string): string {
  try {
    return decodeText(raw);
  } catch {
    throw badRequest('input: expected percent-encoded UTF-8');
  }
}

async function send(request: IncomingMessage, response: ServerResponse, answer: Response): Promise<void> {
  const headers = Object.fromEntries(answer.headers);
  const allow = headers['allow'];
  if (allow?.includes('GET')) headers['allow'] = `${allow}, HEAD`;
  const isStream = answer.headers.has('transfer-encoding');
  // Its refusal of a whole batch has no type of its own.
  if (headers['content-type']?.startsWith('text/plain')) headers['content-type'] = 'application/json';
  if (isStream && request.method === 'HEAD') delete headers['transfer-encoding'];
  if (isStream && answer.body !== null && request.method !== 'HEAD') {
    response.writeHead(answer.status, headers);
    await pipeline(Readable.fromWeb(answer.body), response).catch((error: unknown) => {
      if (!response.destroyed) throw error;
    });
  } else sendText(request, response, answer.status, await answer.text(), headers);
}
