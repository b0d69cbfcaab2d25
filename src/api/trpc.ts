import { initTRPC, type TRPCError } from '@trpc/server';
import type { z } from 'zod';
import type { ApiKey, Scope } from '../domain/api-key.ts';
import { type RequestError, unauthorized } from '../domain/errors.ts';
import { authorizeCall, requireScope } from '../operations/calls/authorize.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { badRequest, publicError, toTrpcError } from './errors.ts';

/** The context of one HTTP request. */
export interface Context {
  readonly dependencies: Dependencies;
  /** Loads the key once per request, also for a batch of many calls. */
  readonly authenticate: () => Promise<ApiKey | null>;
  /** The inputs in the path of a REST request, available before the body is read. Null over tRPC. */
  readonly pathInput: Readonly<Record<string, string>> | null;
  /** Returns an error of one call's input that parsing found, before the schema check. Call this after reading the input. */
  readonly inputErrorOf: (batchIndex: number) => TRPCError | null;
}

/** The REST endpoint of a procedure. A procedure without `rest` has no endpoint. */
export interface RestMeta {
  readonly rest?: {
    readonly method: 'GET' | 'POST' | 'DELETE';
    readonly path: `/${string}`;
    readonly operationId: string;
    readonly summary: string;
    readonly description: string;
    readonly success: { readonly status: 200 | 201; readonly message?: string; readonly example: unknown };
    /** One example of each error, for the OpenAPI document. */
    readonly errors: readonly (RequestError | TRPCError)[];
    /** The input that each request header sets, by the name of the header. */
    readonly headers?: Readonly<Record<string, string>>;
    /** The input over REST, if tRPC accepts a wider input. */
    readonly input?: z.ZodObject;
  };
}

/** Enough for one call per item of a full page, plus a dashboard's other queries. */
export const MAX_BATCH_SIZE = 128;
const BATCH_TOO_LARGE = {
  trpcMessage: 'Batch call exceeds maximum size',
  message: `Batch has more than ${MAX_BATCH_SIZE} calls: set maxItems: ${MAX_BATCH_SIZE} in httpBatchLink`,
};

const t = initTRPC
  .context<Context>()
  .meta<RestMeta>()
  .create({
    isDev: false,
    errorFormatter: ({ shape, error }) => {
      const { code, message: original } = publicError(error);
      const message = original === BATCH_TOO_LARGE.trpcMessage ? BATCH_TOO_LARGE.message : original;
      return { ...shape, message, data: { code: shape.data.code, httpStatus: code } };
    },
  });

export const router = t.router;

/** Requires a valid API key, before any input is read. */
const authenticatedProcedure = t.procedure
  .use(async ({ next }) => {
    const result = await next();
    const expected = result.ok ? null : toTrpcError(result.error.cause);
    if (expected !== null) throw expected;
    return result;
  })
  .use(async ({ batchIndex, next }) => {
    // Each call of a batch starts in its own turn of the event loop, so that other requests can run in between.
    for (let turn = 0; turn < batchIndex; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return next();
  })
  .use(async ({ ctx, next }) => {
    const apiKey = await ctx.authenticate();
    if (apiKey === null) throw unauthorized();
    return next({ ctx: { ...ctx, apiKey } });
  });

/** Requires a key with this scope. */
export function scopedProcedure(scope: Scope) {
  return authenticatedProcedure.use(async ({ ctx, getRawInput, batchIndex, next }) => {
    requireScope(ctx.apiKey, scope);
    assertReadable(ctx, { input: await getRawInput(), batchIndex });
    return next();
  });
}

/**
 * Requires a key that has this scope and belongs to the organization of the call `callId`. Loads the call before the
 * rest of the input is checked, because the contract puts 404 and 403 before 400.
 */
export function callProcedure(scope: Scope) {
  return authenticatedProcedure.use(async ({ ctx, getRawInput, batchIndex, next }) => {
    const input = ctx.pathInput ?? (await getRawInput());
    if (input === null || typeof input !== 'object' || !('callId' in input)) {
      requireScope(ctx.apiKey, scope);
      assertReadable(ctx, { input, batchIndex });
      throw badRequest('callId: required');
    }
    const record = await authorizeCall(ctx.dependencies, { callId: input.callId, apiKey: ctx.apiKey, scope });
    assertReadable(ctx, { input: await getRawInput(), batchIndex });
    return next({ ctx: { ...ctx, record } });
  });
}

/** Asserts that parsing did not change the input, and that no data transformer encoded it. @throws TRPCError */
function assertReadable(
  { inputErrorOf }: Context,
  { input, batchIndex }: { input: unknown; batchIndex: number },
): void {
  const error = inputErrorOf(batchIndex);
  if (error !== null) throw error;
  if (isTransformed(input)) {
    throw badRequest(
      'input: expected plain JSON, without a data transformer such as superjson. Remove `transformer` from the link.',
    );
  }
}

/** superjson sends `{"json","meta"}`. devalue and others send a string, which a client without a transformer never sends. */
function isTransformed(input: unknown): boolean {
  if (typeof input === 'string') return true;
  if (input === null || typeof input !== 'object') return false;
  return 'json' in input && Object.keys(input).every((name) => name === 'json' || name === 'meta');
}
