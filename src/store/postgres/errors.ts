import pg from 'pg';
import { errorCode, errorMessage, StoreBusyError } from '../../domain/errors.ts';

/**
 * Codes of errors that end without anyone's change of hangup: connections, resources, locks, shutdown, a standby, timeouts.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const BUSY_CLASSES = ['08', '53', '57', '58'];
const BUSY_CODES = ['55P03', '25006', '25P03', '25P04', '40001', '40P01', '40003'];
/** A serialization failure, a deadlock, a row that another transaction inserted first. */
const CONFLICT_CODES = ['40001', '40P01', '23505'];
/** The server ended the connection, or restarts. */
const LOST_CODES = ['57P01', '57P02', '57P03', '57P05', '25P03', '25006', '08006', '08003', '08001', '08004'];

/** Another transaction changed a row that the locks of this one did not cover. The transaction has to run again. */
export class TransactionConflict extends Error {
  override readonly name = 'TransactionConflict';
}

/** Returns an error of the driver as the store's error: StoreBusyError if the database cannot be used now. */
export function toStoreError(error: unknown): unknown {
  if (error instanceof StoreBusyError) return error;
  const code = errorCode(error);
  if (error instanceof pg.DatabaseError && !isBusyCode(code)) return error;
  if (error instanceof TypeError || error instanceof RangeError) return error;
  // The messages of the driver name the host, and never the password.
  return new StoreBusyError(`the database cannot be used now: ${errorMessage(error)}`, { cause: error });
}

/** Returns an error of a new connection as the store's error. Also a wrong password may be right again in a moment. */
export function toConnectError(error: unknown): StoreBusyError {
  if (error instanceof StoreBusyError) return error;
  return new StoreBusyError(`the database cannot be reached: ${errorMessage(error)}`, { cause: error });
}

const isBusyCode = (code: string) => BUSY_CLASSES.includes(code.slice(0, 2)) || BUSY_CODES.includes(code);

/** Returns the driver's error of a store's error. */
function driverError(error: unknown): unknown {
  return error instanceof StoreBusyError && error.cause !== undefined ? error.cause : error;
}

/** Whether the transaction was rolled back because of another transaction, and may succeed when it runs again. */
export function isConflict(error: unknown): boolean {
  if (error instanceof TransactionConflict) return true;
  const cause = driverError(error);
  return cause instanceof pg.DatabaseError && CONFLICT_CODES.includes(errorCode(cause));
}

/** Whether the connection ended, so that the same transaction may succeed on another connection. */
export function isConnectionLost(error: unknown): boolean {
  const cause = driverError(error);
  if (cause instanceof pg.DatabaseError) return LOST_CODES.includes(errorCode(cause));
  if (!(error instanceof StoreBusyError) || !(cause instanceof Error) || cause === error) return false;
  return (
    /^(ECONNRESET|EPIPE|ECONNREFUSED)$/.test(errorCode(cause)) ||
    /terminated|not queryable/.test(cause.message)
  );
}
