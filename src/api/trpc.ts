import { initTRPC } from '@trpc/server';
import type { z } from 'zod';
import type { ApiKey, Scope } from '../domain/api-key.ts';
import { RequestError, unauthorized } from '../domain/errors.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { findCall, requireScope } from '../operations/find-call.ts';
import { publicError, toTrpcError } from './errors.ts';

/** One HTTP request. */
export interface Context {
  readonly dependencies: Dependencies;
  /** Looks the key up once for a request, however many calls a batch has. */
  readonly authenticate: () => Promise<ApiKey | null>;
}

/** How a procedure is seen over REST; a procedure without it is not. */
export interface RestMeta {
  readonly rest?: {
    readonly method: 'GET' | 'POST' | 'DELETE';
    readonly path: `/${string}`;
    readonly operationId: string;
    readonly summary: string;
    readonly description: string;
    readonly success: { readonly status: 200 | 201; readonly message?: string; readonly example: unknown };
    /** Status, then each message it can carry. */
    readonly errors: Readonly<Record<number, readonly string[]>>;
    /** Request headers, by the name of the input that each one is. */
    readonly headers?: Readonly<Record<string, string>>;
    /** The input, where tRPC's is wider. */
    readonly input?: z.ZodObject;
  };
}

/** Calls in one batch: one for each call of a full page, and a dashboard's other queries beside them. */
export const MAX_BATCH = 128;
/** tRPC's message has neither the number nor the remedy. */
const BATCH_TOO_LARGE = {
  from: 'Batch call exceeds maximum size',
  to: `Batch has more than ${MAX_BATCH} calls: set maxItems: ${MAX_BATCH} in httpBatchLink`,
};

const t = initTRPC
  .context<Context>()
  .meta<RestMeta>()
  .create({
    isDev: false,
    errorFormatter: ({ shape, error }) => {
      const { code, message: original } = publicError(error);
      const message = original === BATCH_TOO_LARGE.from ? BATCH_TOO_LARGE.to : original;
      return { ...shape, message, data: { code: shape.data.code, httpStatus: code } };
    },
  });

export const router = t.router;

/** Whoever holds a valid key. Runs before any input is read. */
const authenticated = t.procedure
  .use(async ({ next }) => {
    const result = await next();
    if (!result.ok && result.error.cause instanceof RequestError) throw toTrpcError(result.error.cause);
    return result;
  })
  .use(async ({ batchIndex, next }) => {
    // Each call of a batch begins in its own turn of the event loop, so other requests are answered between them.
    for (let turn = 0; turn < batchIndex; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return next();
  })
  .use(async ({ ctx, next }) => {
    const apiKey = await ctx.authenticate();
    if (apiKey === null) throw unauthorized();
    return next({ ctx: { ...ctx, apiKey } });
  });

/** For a key with this scope. */
export function withScope(scope: Scope) {
  return authenticated.use(({ ctx, next }) => {
    requireScope(ctx.apiKey, scope);
    return next();
  });
}

/**
 * For a key that may do this to the call named by `callId`. The call is looked up before the rest of the input is
 * checked: the contract wants 404 and 403 before 400.
 */
export function onCall(scope: Scope) {
  return authenticated.use(async ({ ctx, getRawInput, next }) => {
    const input = await getRawInput();
    const callId =
      input !== null && typeof input === 'object' && 'callId' in input ? input.callId : undefined;
    const record = await findCall(ctx.dependencies, { callId, apiKey: ctx.apiKey, scope });
    return next({ ctx: { ...ctx, record } });
  });
}
