import type { Timestamp } from '../../domain/time.ts';
import type { Clock } from '../../ports/system.ts';

/**
 * Returns SQL of the time of a read: the value of the parameter, or the start of the statement by the database's clock. Unlike
 * clock_timestamp(), this time is the same in the complete statement, so an index can find rows by it.
 */
export const nowOf = (parameter: `$${number}`) =>
  `coalesce(${parameter}::bigint, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint)`;

/** Returns the parameter of {@link nowOf} for a store's clock. */
export const timeOf = (clock: Clock | null): Timestamp | null => clock?.now() ?? null;
