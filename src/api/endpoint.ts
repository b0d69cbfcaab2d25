import type { TRPCError } from '@trpc/server';
import type { z } from 'zod';
import type { RequestError } from '../domain/errors.ts';
import type { ProcedureRequest } from './procedure-request.ts';

interface ResponseHeader<Output> {
  readonly description: string;
  /** Returns the header's value; null: no header. */
  read(output: Output): string | null;
}

/** The REST endpoint of a procedure. */
export interface Rest<Output = unknown> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: `/${string}`;
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  /** The budget of an API key that requests are counted in; null: no limit; by default `calls`. */
  readonly rateLimit?: 'cancels' | null;
  /** The largest request body; by default 1 MiB. */
  readonly maxBodyBytes?: number;
  readonly success: {
    readonly status: 200 | 201 | 202;
    readonly message?: string;
    readonly example: unknown;
    /** The schema of the outputs with this status, if the endpoint has another success too. */
    readonly output?: z.ZodType;
    readonly headers?: Readonly<Record<string, ResponseHeader<Output>>>;
  };
  /** A success with another status, without a message. */
  readonly otherSuccess?: {
    readonly status: 200;
    readonly description: string;
    readonly output: z.ZodType;
    readonly example: unknown;
    /** Whether an output has this status. */
    isReturned(output: Output): boolean;
  };
  /** One example of each error, for the OpenAPI document. */
  readonly errors: readonly (RequestError | TRPCError)[];
  /** The input that each request header sets, by the name of the header. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Those inputs of `headers` that the query can set too. The header wins. */
  readonly queryHeaders?: readonly string[];
  /** The type of the successful response; absent: JSON. */
  readonly contentType?: 'text/event-stream';
}

/** A procedure without tRPC. */
export interface Endpoint<Output = unknown> {
  readonly rest: Rest<Output>;
  /** The input over REST. */
  readonly input: z.ZodObject;
  readonly output: z.ZodType;
  /**
   * Checks a request in the contract's order and runs the procedure.
   * @throws RequestError, TRPCError, StoreBusyError
   */
  run(request: ProcedureRequest): Promise<Output>;
}
