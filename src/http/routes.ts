import type { AnyTRPCRouter, TRPCProcedureType } from '@trpc/server';
import type { Endpoint } from '../api/endpoint.ts';
import type { ProcedureMeta } from '../api/trpc.ts';
import type { RateLimitPolicy } from '../domain/rate-limit.ts';

export interface Route extends Endpoint {
  /** The path in tRPC, such as `calls.cancel`. */
  readonly procedure: string;
  readonly type: TRPCProcedureType;
  /** Names of the inputs in the path. */
  readonly pathParameters: readonly string[];
}

interface ProcedureDefinition {
  readonly type: TRPCProcedureType;
  readonly meta?: ProcedureMeta;
}

/** Returns the procedures that have a REST endpoint. Only this function reads `_def`, which is internal to tRPC. */
export function collectRoutes(router: AnyTRPCRouter): Route[] {
  const procedures: Record<string, { readonly _def: ProcedureDefinition }> = router._def.procedures;
  return Object.entries(procedures).flatMap(([procedure, { _def }]) => {
    const endpoint = _def.meta?.endpoint;
    if (endpoint === undefined) return [];
    const pathParameters = [...endpoint.rest.path.matchAll(/\{(\w+)\}/g)].flatMap(([, name]) => name ?? []);
    for (const name of pathParameters) {
      if (!(name in endpoint.input.shape))
        throw new Error(`${procedure}: ${name} is in the path, not in the input`);
    }
    return [{ ...endpoint, procedure, type: _def.type, pathParameters }];
  });
}

/** Returns the names of the inputs in the query or in the body. */
export function inputNamesOf({ input, pathParameters, rest }: Route): string[] {
  const { headers = {}, queryHeaders = [] } = rest;
  const fromHeaders = Object.values(headers).filter((name) => !queryHeaders.includes(name));
  return Object.keys(input.shape).filter(
    (name) => !pathParameters.includes(name) && !fromHeaders.includes(name),
  );
}

/** Returns the budget that an endpoint's requests are counted in; null: no limit. */
export function policyOf({ rest }: Endpoint): RateLimitPolicy | null {
  return rest.rateLimit === undefined ? 'calls' : rest.rateLimit;
}
