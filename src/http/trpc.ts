import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type AnyTRPCRouter, TRPCError } from '@trpc/server';
import { resolveResponse } from '@trpc/server/http';
import { badRequest, publicError, unrecognizedKeys } from '../api/errors.ts';
import { type Context, MAX_BATCH_SIZE } from '../api/trpc.ts';
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
import type { ErrorListener, HttpRequest, Target } from './request.ts';
import { sendText } from './response.ts';

/**
 * Creates the handler of tRPC requests. tRPC's own adapter replaces bytes that are not UTF-8, drops unknown query
 * parameters, decodes paths, and omits GET's headers for HEAD. This handler treats all of them as REST does.
 */
export function createTrpcHandler({
  router,
  onError,
}: {
  router: AnyTRPCRouter;
  onError: ErrorListener;
}): (request: HttpRequest, response: ServerResponse, target: Target, context: Context) => Promise<void> {
  return async (request, response, { path: encodedPath, search }, context) => {
    // Batches join paths with commas, which some proxies encode. Other encoded characters stay encoded.
    const path = encodedPath.replaceAll(/%2C/gi, ',');
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const inputs = new Inputs(path.split(',').length);
    const url = new URL('http://hangup/trpc');
    const query = inputs.readQuery(search, { hasInput: method === 'GET' });
    for (const [name, value] of query) url.searchParams.set(name, value);
    if (method === 'GET') inputs.checkAll(() => assertNoBody(request));
    const closed = new AbortController();
    response.once('close', () => closed.abort());
    const body = () => inputs.readBody(request, response);
    const resolved = await resolveResponse({
      req: new Request(url, {
        // Every other method is a 405. PUT represents them, because Request throws for some methods.
        method: method === 'GET' || method === 'POST' ? method : 'PUT',
        // The real content-type is checked with the body, after the check for 401.
        headers: { ...acceptHeaders(request), 'content-type': 'application/json' },
        signal: closed.signal,
        ...(method === 'POST' && { body: lazyStream(body), duplex: 'half' }),
      }),
      path: encodeURIComponent(path),
      router,
      error: null,
      createContext: () =>
        Promise.resolve({ ...context, inputErrorOf: (batchIndex: number) => inputs.errorOf(batchIndex) }),
      maxBatchSize: MAX_BATCH_SIZE,
      onError: ({ error }) => {
        if (publicError(error).code >= 500) onError(error, request);
      },
    });
    await send(request, response, resolved);
  };
}

/** Returns the headers that choose the format of the response. */
function acceptHeaders({ headers }: IncomingMessage): Record<string, string> {
  const accepted = ['accept', 'trpc-accept'].map((name) => [name, headers[name]] as const);
  return Object.fromEntries(
    accepted.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}

/** Returns a stream that reads the body only when tRPC needs it. */
function lazyStream(read: () => Promise<Uint8Array>): ReadableStream<Uint8Array> {
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
 * The inputs of one request. tRPC would send the error of one input for the complete batch, and before 404 and 403.
 * Therefore this class stores the errors, and each procedure throws its own in the contract's order.
 */
class Inputs {
  private readonly callCount: number;
  private isBatch = false;
  private batchError: TRPCError | null = null;
  private readonly callErrors = new Map<number, TRPCError>();

  constructor(callCount: number) {
    this.callCount = callCount;
  }

  errorOf(batchIndex: number): TRPCError | null {
    return this.batchError ?? this.callErrors.get(batchIndex) ?? null;
  }

  /** Stores a TRPCError of this check for all calls. @returns false if the check threw */
  checkAll(check: () => void): boolean {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof TRPCError)) throw error;
      this.batchError ??= error;
      return false;
    }
  }

  /** Returns the valid part of a query string: also with an error, a procedure needs `callId` for 404 and 403. */
  readQuery(search: string, { hasInput }: { hasInput: boolean }): ReadonlyMap<string, string> {
    const query = new Map<string, string>();
    const values = new Map<string, string>();
    const problemOf = (name: string, raw: string) => {
      if (name !== 'batch' && !(hasInput && name === 'input')) return unrecognizedKeys([name]);
      if (values.has(name)) return `${name}: expected once`;
      return name === 'batch' && raw !== '1' ? 'batch: expected 1' : null;
    };
    this.checkAll(() => {
      for (const { name, raw } of splitQuery(search)) {
        const problem = problemOf(name, raw);
        if (problem === null) values.set(name, raw);
        else this.batchError ??= badRequest(problem);
      }
    });
    this.isBatch = values.has('batch');
    if (this.isBatch) query.set('batch', '1');
    const raw = values.get('input');
    this.checkAll(() => {
      if (raw === undefined) return;
      const text = decodeInput(raw);
      this.checkText(text, 'input: malformed JSON');
      query.set('input', text);
    });
    return query;
  }

  /** Returns the body for tRPC; an empty body if the body has an error. */
  async readBody(request: IncomingMessage, response: ServerResponse): Promise<Uint8Array> {
    const bytes = await readBody(request, response);
    if (bytes.length === 0) return bytes;
    this.checkAll(() => assertJson(request.headers));
    const isValid = this.checkAll(() => this.checkText(decodeJson(bytes), MALFORMED_BODY));
    return isValid ? bytes : new Uint8Array();
  }

  /** Stores the errors of single calls. @throws TRPCError for an error of the complete text */
  private checkText(text: string, malformed: string): void {
    const value = parseJson(text, malformed);
    if (this.isBatch) this.assertIndexes(value);
    for (const { path, message } of findJsonProblems(text)) {
      const [index, ...inside] = this.isBatch ? path : [0, ...path];
      const error = badRequest(describeProblem({ path: inside, message }));
      if (index === undefined) throw error;
      if (!this.callErrors.has(Number(index))) this.callErrors.set(Number(index), error);
    }
  }

  /** Asserts that the names in the object of a batch are indexes of its calls. @throws TRPCError */
  private assertIndexes(value: unknown): void {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw badRequest('input: expected an object with the inputs of the batch by their index');
    }
    const indexes = Array.from({ length: this.callCount }, (_, index) => String(index));
    const unknown = Object.keys(value).filter((name) => !indexes.includes(name));
    if (unknown.length > 0) throw badRequest(unrecognizedKeys(unknown));
  }
}

function decodeInput(raw: string): string {
  try {
    return decodeText(raw);
  } catch {
    throw badRequest('input: expected percent-encoded UTF-8');
  }
}

async function send(request: IncomingMessage, response: ServerResponse, resolved: Response): Promise<void> {
  const headers = Object.fromEntries(resolved.headers);
  const allow = headers['allow'];
  if (allow?.includes('GET')) headers['allow'] = `${allow}, HEAD`;
  const isStream = resolved.headers.has('transfer-encoding');
  // tRPC sends its error for a complete batch as text/plain, but the body is JSON.
  if (headers['content-type']?.startsWith('text/plain')) headers['content-type'] = 'application/json';
  if (isStream && request.method === 'HEAD') delete headers['transfer-encoding'];
  if (isStream && resolved.body !== null && request.method !== 'HEAD') {
    response.writeHead(resolved.status, headers);
    await pipeline(Readable.fromWeb(resolved.body), response).catch((error: unknown) => {
      if (!response.destroyed) throw error;
    });
  } else sendText(request, response, resolved.status, await resolved.text(), headers);
}
