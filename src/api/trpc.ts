import { initTRPC, type TRPCError } from '@trpc/server';
import type { z } from 'zod';
import type { ApiKey, Scope } from '../domain/api-key.ts';
import { unauthorized } from '../domain/errors.ts';
import { authorizeCall, requireScope } from '../operations/calls/authorize.ts';
import type { Dependencies } from '../operations/dependencies.ts';
import { badRequest, publicError, toTrpcError } from './errors.ts';

/** One HTTP request. */
export interface Context {
  readonly dependencies: Dependencies;
  /** Looks the key up once for a request, however many calls a batch has. */
  readonly authenticate: () => Promise<ApiKey | null>;
  /** The inputs in the path of a REST request: present before a body is read. */
  readonly pathInput: Readonly<Record<string, string>> | null;
  /** Why the input of one call of a batch is refused before its schema sees it. Complete once the input was read. */
  readonly refusalOf: (batchIndex: number) => TRPCError | null;
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
    const known = result.ok ? null : toTrpcError(result.error.cause);
    if (known !== null) throw known;
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
  return authenticated.use(async ({ ctx, getRawInput, batchIndex, next }) => {
    requireScope(ctx.apiKey, scope);
    assertTaken(ctx, { input: await getRawInput(), batchIndex });
    return next();
  });
}

/**
 * For a key that may do this to the call named by `callId`. The call is looked up before the rest of the input is
 * checked: the contract wants 404 and 403 before 400.
 */
export function onCall(scope: Scope) {
  return authenticated.use(async ({ ctx, getRawInput, batchIndex, next }) => {
    const named = ctx.pathInput ?? (await getRawInput());
    if (named === null || typeof named !== 'object' || !('callId' in named)) {
      requireScope(ctx.apiKey, scope);
      assertTaken(ctx, { input: named, batchIndex });
      throw badRequest('callId: expected');
    }
    const record = await authorizeCall(ctx.dependencies, { callId: named.callId, apiKey: ctx.apiKey, scope });
    assertTaken(ctx, { input: await getRawInput(), batchIndex });
    return next({ ctx: { ...ctx, record } });
  });
}

/** @throws TRPCError for an input that its schema would not see as it was sent, or would explain badly */
function assertTaken(
  { refusalOf }: Context,
  { input, batchIndex }: { input: unknown; batchIndex: number },
): void {
  const refusal = refusalOf(batchIndex);
  if (refusal !== null) throw refusal;
  if (isTransformed(input)) {
    throw badRequest(
      'input: expected plain JSON, without a data transformer such as superjson. Remove `transformer` from the link.',
    );
  }
}

/** superjson sends `{"json","meta"}`; devalue and others send a text, and a plain client never does. */
function isTransformed(input: unknown): boolean {
  if (typeof input === 'string') return true;
  if (input === null || typeof input !== 'object') return false;
  return 'json' in input && Object.keys(input).every((name) => name === 'json' || name === 'meta');
}
