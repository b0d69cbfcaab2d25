import { getTRPCErrorShape, initTRPC, type TRPCError, type TRPCProcedureType } from '@trpc/server';
import type { Endpoint } from './endpoint.ts';
import { publicError } from './errors.ts';
import type { ProcedureRequest } from './procedure-request.ts';

/** The context of one tRPC request. */
export interface Context {
  /** Returns one call of the request. `readInput` returns its input as the client sent it. */
  readonly requestOf: (batchIndex: number, readInput: () => Promise<unknown>) => ProcedureRequest;
}

/** What hangup's own handlers need of a procedure. */
export interface ProcedureMeta {
  readonly endpoint?: Endpoint;
}

/** Enough for one call per item of a full page, plus a dashboard's other queries. */
export const MAX_BATCH_SIZE = 128;
const BATCH_TOO_LARGE = {
  trpcMessage: 'Batch call exceeds maximum size',
  message: `Batch has more than ${MAX_BATCH_SIZE} calls: set maxItems: ${MAX_BATCH_SIZE} in httpBatchLink`,
};

/** An event stream sends something at least this often. */
export const HEARTBEAT_INTERVAL_MS = 15_000;

const t = initTRPC
  .context<Context>()
  .meta<ProcedureMeta>()
  .create({
    isDev: false,
    sse: {
      // Also keeps the connection open through proxies.
      ping: { enabled: true, intervalMs: HEARTBEAT_INTERVAL_MS },
      client: { reconnectAfterInactivityMs: 3 * HEARTBEAT_INTERVAL_MS },
    },
    errorFormatter: ({ shape, error }) => {
      const { code, message: original } = publicError(error);
      const message = original === BATCH_TOO_LARGE.trpcMessage ? BATCH_TOO_LARGE.message : original;
      return { ...shape, message, data: { code: shape.data.code, httpStatus: code } };
    },
  });

export const { router, procedure } = t;

/** Returns the error of a call as tRPC sends it. */
export function errorShape(
  error: TRPCError,
  { procedure: path, type }: { procedure: string; type: TRPCProcedureType },
) {
  return getTRPCErrorShape({ config: t._config, error, type, path, input: undefined, ctx: undefined });
}
