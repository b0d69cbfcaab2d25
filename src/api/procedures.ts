import { TRPCError, tracked } from '@trpc/server';
import type { z } from 'zod';
import type { ApiKey, Scope } from '../domain/api-key.ts';
import { RequestError, unauthorized } from '../domain/errors.ts';
import { assertAuthorized, authorizeCall, requireScope } from '../operations/calls/authorize.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import type { CallRecord } from '../ports/store.ts';
import type { Endpoint, Rest } from './endpoint.ts';
import { badRequest, toTrpcError } from './errors.ts';
import type { EventStream, StreamData } from './events/event-stream.ts';
import type { ProcedureRequest } from './procedure-request.ts';
import { procedure } from './trpc.ts';

/** A procedure, defined once for REST and tRPC. */
interface Definition<Context, Parsed, Output, RestInput, TrpcInput, Data = Output> {
  readonly rest: Rest<Output>;
  readonly input: z.ZodObject & z.ZodType<Parsed, RestInput>;
  /** The input over tRPC, if tRPC accepts a wider input. */
  readonly trpcInput?: z.ZodType<Parsed, TrpcInput>;
  /** Types and documents the output, or the data of each message of a stream. Nothing checks an output at run time: tests check each response. */
  readonly output: z.ZodType<Data>;
  handle(context: Context, input: Parsed): Promise<Output>;
}

interface ScopedContext {
  readonly request: ProcedureRequest;
  readonly dependencies: ServerDependencies;
  readonly apiKey: ApiKey;
  /** Marks the response, also an error, as a replay of the first response under an Idempotency-Key. */
  readonly markReplayed: () => void;
}

interface CallContext extends ScopedContext {
  readonly record: CallRecord;
}

interface Authenticated {
  readonly apiKey: ApiKey;
  readonly record: CallRecord | null | undefined;
}

interface Authorized<Context> {
  readonly context: Context;
  /** Thrown in place of an error of the input. */
  readonly refusal?: RequestError;
}

/** Checks everything that the contract puts before the input. */
type Authorize<Context> = (
  request: ProcedureRequest,
  authenticated: Authenticated,
) => Authorized<Context> | Promise<Authorized<Context>>;

/** Requires a key, with any scopes. */
export function authenticatedProcedure() {
  return createBuilder<ScopedContext>((request, { apiKey }) => ({ context: scopedContext(request, apiKey) }));
}

/** Requires a key with this scope. */
export function scopedProcedure(scope: Scope) {
  return createBuilder<ScopedContext>((request, { apiKey }) => {
    requireScope(apiKey, scope);
    return { context: scopedContext(request, apiKey) };
  });
}

function scopedContext(request: ProcedureRequest, apiKey: ApiKey): ScopedContext {
  const { dependencies } = request;
  return { request, dependencies, apiKey, markReplayed: () => request.markReplayed() };
}

/**
 * Requires a key that has this scope and belongs to the organization of the call `callId`. Loads the call before the
 * rest of the input is checked, because the contract puts 404 and 403 before 400.
 */
export function callProcedure(scope: Scope) {
  return createBuilder<CallContext>(async (request, authenticated) => {
    const record = await loadAuthorizedCall(request, authenticated, scope);
    return { context: { ...scopedContext(request, authenticated.apiKey), record } };
  });
}

/**
 * Requires what {@link callProcedure} requires. A call that does not exist is left to the procedure if the request has an
 * Idempotency-Key: the first request may have changed a call that was pruned later.
 */
export function repeatableCallProcedure(scope: Scope) {
  return createBuilder<ScopedContext>(async (request, authenticated) => {
    const { apiKey } = authenticated;
    const context = scopedContext(request, apiKey);
    try {
      await loadAuthorizedCall(request, authenticated, scope);
      return { context };
    } catch (error) {
      const isAbsent = error instanceof RequestError && error.kind === 'not_found';
      if (!isAbsent || !apiKey.scopes.includes(scope) || !(await request.hasIdempotencyKey())) throw error;
      return { context, refusal: error };
    }
  });
}

async function loadAuthorizedCall(
  request: ProcedureRequest,
  { apiKey, record: loaded }: Authenticated,
  scope: Scope,
): Promise<CallRecord> {
  if (loaded !== undefined) return assertAuthorized(loaded, { apiKey, scope });
  const callId = await request.readCallId();
  if (callId === undefined) {
    requireScope(apiKey, scope);
    await request.readInput();
    throw badRequest('callId: required');
  }
  return authorizeCall(request.dependencies, { callId, apiKey, scope });
}

function createBuilder<Context>(authorize: Authorize<Context>) {
  return {
    query<Parsed, Output, RestInput, TrpcInput = RestInput>(
      definition: Definition<Context, Parsed, Output, RestInput, TrpcInput>,
    ) {
      return onTrpc(toEndpoint(definition, authorize))
        .input(readInput<TrpcInput>)
        .query(({ ctx }) => ctx.output);
    },
    mutation<Parsed, Output, RestInput, TrpcInput = RestInput>(
      definition: Definition<Context, Parsed, Output, RestInput, TrpcInput>,
    ) {
      return onTrpc(toEndpoint(definition, authorize))
        .input(readInput<TrpcInput>)
        .mutation(({ ctx }) => ctx.output);
    },
    /** A procedure whose output lasts: over REST server-sent events, over tRPC a subscription. */
    subscription<Parsed, Data extends StreamData, RestInput, TrpcInput = RestInput>(
      definition: Definition<Context, Parsed, EventStream<Data>, RestInput, TrpcInput, Data>,
    ) {
      return onTrpc(toEndpoint(definition, authorize))
        .input(readInput<TrpcInput>)
        .subscription(async function* ({ ctx, signal = new AbortController().signal }) {
          try {
            for await (const { id, data } of ctx.output.open(signal)) {
              if (data !== null) yield tracked(id, data);
            }
          } catch (error) {
            throw toTrpcError(error) ?? error;
          }
        });
    },
  };
}

function toEndpoint<Context, Parsed, Output>(
  { rest, input, trpcInput, output, handle }: Definition<Context, Parsed, Output, unknown, unknown, unknown>,
  authorize: Authorize<Context>,
): Endpoint<Output> {
  const schemas: Record<ProcedureRequest['transport'], z.ZodType<Parsed>> = {
    rest: input,
    trpc: trpcInput ?? input,
  };
  return {
    rest,
    input,
    output,
    async run(request) {
      const { apiKey, record } = await request.authenticate();
      if (apiKey === null) throw unauthorized();
      const { context, refusal } = await authorize(request, { apiKey, record });
      const parsed = await parseInput(request, schemas[request.transport]).catch((error: unknown) => {
        throw refusal ?? error;
      });
      return handle(context, parsed);
    },
  };
}

async function parseInput<Parsed>(request: ProcedureRequest, schema: z.ZodType<Parsed>): Promise<Parsed> {
  const parsed = schema.safeParse(await request.readInput());
  if (!parsed.success) throw new TRPCError({ code: 'BAD_REQUEST', cause: parsed.error });
  return parsed.data;
}

/** Returns a tRPC procedure that runs the endpoint before tRPC reads the input, which is after the check for 401. */
function onTrpc<Output>(endpoint: Endpoint<Output>) {
  return procedure.meta({ endpoint }).use(async ({ ctx, getRawInput, batchIndex, next }) => {
    // Each call of a batch starts in its own turn of the event loop, so that other requests can run in between.
    for (let turn = 0; turn < batchIndex; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    try {
      return next({ ctx: { output: await endpoint.run(ctx.requestOf(batchIndex, getRawInput)) } });
    } catch (error) {
      throw toTrpcError(error) ?? error;
    }
  });
}

/** Gives tRPC the type of an input that the endpoint has checked. */
function readInput<Input>(checked: unknown): Input {
  return checked as Input;
}
