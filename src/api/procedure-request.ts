import type { ApiKey } from '../domain/api-key.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import type { CallRecord } from '../ports/store.ts';

export interface Authentication {
  /** Null: no valid key. */
  readonly apiKey: ApiKey | null;
  /** The call of `callId`, null if there is none; undefined if the call was not loaded with the key. */
  readonly record?: CallRecord | null;
}

/** A request for one procedure, over REST or tRPC. Its parts are read in the contract's order of checks. */
export interface ProcedureRequest {
  readonly dependencies: ServerDependencies;
  readonly transport: 'rest' | 'trpc';
  /** Loads the key once per HTTP request, also for a batch of many calls. */
  authenticate(): Promise<Authentication>;
  /** Loads the key again, for a response that lasts. Returns whether the key is still valid. */
  isKeyActive(): Promise<boolean>;
  /** Returns the input `callId`, also when another input is invalid; undefined if it is missing. REST reads no body. */
  readCallId(): unknown;
  /** Returns the input before the schema check. @throws TRPCError 400, 413, 415 */
  readInput(): unknown;
  /** Whether the request has an Idempotency-Key, valid or not. REST reads no body. */
  hasIdempotencyKey(): boolean | Promise<boolean>;
  /** Marks the response as a replay of the first response under an Idempotency-Key. */
  markReplayed(): void;
}
