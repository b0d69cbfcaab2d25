import { initTRPC } from '@trpc/server';
import type { ApiKey, Scope } from '../domain/api-key.ts';
import { unauthorized } from '../domain/errors.ts';
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
  };
}

const t = initTRPC
  .context<Context>()
  .meta<RestMeta>()
  .create({
    isDev: false,
    errorFormatter: ({ shape, error }) => {
      const { code, message } = publicError(error);
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
