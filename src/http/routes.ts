import type { AnyTRPCRouter, TRPCProcedureType } from '@trpc/server';
import { z } from 'zod';
import type { RestMeta } from '../api/trpc.ts';

export interface Route {
  readonly rest: NonNullable<RestMeta['rest']>;
  /** The path in tRPC, such as `calls.cancel`. */
  readonly procedure: string;
  readonly type: TRPCProcedureType;
  readonly input: z.ZodObject;
  readonly output: z.ZodType;
  /** Names of the inputs in the path. */
  readonly pathParameters: readonly string[];
}

interface ProcedureDefinition {
  readonly type: TRPCProcedureType;
  readonly meta?: RestMeta;
  readonly inputs: readonly unknown[];
  readonly output?: unknown;
}

/** Returns the procedures that have a REST endpoint. Only this function reads `_def`, which is internal to tRPC. */
export function collectRoutes(router: AnyTRPCRouter): Route[] {
  const procedures: Record<string, { readonly _def: ProcedureDefinition }> = router._def.procedures;
  return Object.entries(procedures).flatMap(([procedure, { _def }]) => {
    const rest = _def.meta?.rest;
    if (rest === undefined) return [];
    const [ownInput, ...more] = _def.inputs;
    const input = rest.input ?? ownInput;
    const { output } = _def;
    if (!(input instanceof z.ZodObject) || more.length > 0 || !(output instanceof z.ZodType)) {
      throw new Error(
        `${procedure}: a procedure with a REST endpoint must have one object as its input, and an output`,
      );
    }
    const pathParameters = [...rest.path.matchAll(/\{(\w+)\}/g)].flatMap(([, name]) => name ?? []);
    for (const name of pathParameters) {
      if (!(name in input.shape)) throw new Error(`${procedure}: ${name} is in the path, not in the input`);
    }
    return [{ rest, procedure, type: _def.type, input, output, pathParameters }];
  });
}
