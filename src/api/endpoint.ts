import type { TRPCError } from '@trpc/server';
import type { z } from 'zod';
import type { RequestError } from '../domain/errors.ts';
import type { ProcedureRequest } from './procedure-request.ts';

/** The REST endpoint of a procedure. */
export interface Rest {
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
}

/** A procedure without tRPC. */
export interface Endpoint<Output = unknown> {
  readonly rest: Rest;
  /** The input over REST. */
  readonly input: z.ZodObject;
  readonly output: z.ZodType;
  /**
   * Checks a request in the contract's order and runs the procedure.
   * @throws RequestError, TRPCError, StoreBusyError
   */
  run(request: ProcedureRequest): Promise<Output>;
}
