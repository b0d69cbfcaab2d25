import type { LiveStatus } from '../../domain/call-status.ts';
import type { CallFilter } from '../../domain/cancellation.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';

/*
 * Live calls that a filter selects, from the index by status: the ended calls on record cost nothing. Parameters are
 * expressions: SQLite would compile a statement with plain parameters again after each bind.
 */

type Values = Readonly<Record<string, string | number | null>>;

const WHERE = `
  organization_id = CAST(@organizationId AS TEXT) AND status = CAST(@status AS TEXT)
  AND direction IN ('inbound', 'outbound') AND is_scheduled IN (0, 1)
  AND (@agentId IS NULL OR agent_id = @agentId)
  AND (@direction IS NULL OR direction = @direction)
  AND (@phoneNumber IS NULL OR phone_number = @phoneNumber)
  AND (@from IS NULL OR created_at >= @from)
  AND (@to IS NULL OR created_at <= @to)`;

const statements = preparePerConnection(({ $client: client }) => ({
  ids: client
    .prepare<[Values], string>(
      `SELECT id FROM calls INDEXED BY calls_by_status WHERE ${WHERE} LIMIT (@limit + 0)`,
    )
    .pluck(),
  count: client
    .prepare<[Values], number>(`SELECT count(*) FROM calls INDEXED BY calls_by_status WHERE ${WHERE}`)
    .pluck(),
}));

/** Selects live calls with one status. */
export interface Matching {
  readonly organizationId: string;
  readonly filter: CallFilter;
  readonly status: LiveStatus;
}

function valuesOf({ organizationId, filter, status }: Matching): Values {
  const { agentId = null, direction = null, phoneNumber = null, from = null, to = null } = filter;
  return { organizationId, status, agentId, direction, phoneNumber, from, to };
}

export function findMatches(db: Database, matching: Matching, limit: number): string[] {
  return statements(db).ids.all({ ...valuesOf(matching), limit });
}

export function countMatches(db: Database, matching: Matching): number {
  return statements(db).count.get(valuesOf(matching)) ?? 0;
}

/** Returns whether the filter selects calls with the status. */
export function hasStatus({ status: statuses }: CallFilter, status: LiveStatus): boolean {
  return statuses === undefined || statuses.includes(status);
}
