import pg from 'pg';
import { errorCode, errorMessage, StoreBusyError } from '../../domain/errors.ts';
import { DatabaseError } from '../database-error.ts';

/**
 * Codes of errors that end without anyone's change of hangup: connections, resources, locks, shutdown, a standby, timeouts.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const BUSY_CLASSES = ['08', '53', '57', '58'];
const BUSY_CODES = ['55P03', '25006', '25P03', '25P04', '40001', '40P01', '40003'];
/** A serialization failure, a deadlock, a row that another transaction inserted first. */
const CONFLICT_CODES = ['40001', '40P01', '23505'];
/** A prepared statement does not exist, or exists already: a pooler without support for them leads to another session. */
const PREPARED_STATEMENT_CODES = ['26000', '42P05'];
/** The server ended the connection, or restarts. */
const LOST_CODES = ['57P01', '57P02', '57P03', '57P05', '25P03', '25006', '08006', '08003', '08001', '08004'];

/** The server does not accept connections. `problem` is the message without the remedy. */
export class ConnectionError extends DatabaseError {
  readonly problem: string;

  constructor(problem: string, { prefix = '' } = {}) {
    super(
      `${prefix}${problem}. Check DATABASE_URL, and that Postgres runs and accepts connections of this user.`,
    );
    this.problem = problem;
  }
}

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

/** Returns an error of the start with its remedy. */
export const toOpenError = (error: unknown): DatabaseError =>
  error instanceof DatabaseError
    ? error
    : new ConnectionError(errorMessage(error), { prefix: 'Cannot use the database: ' });

export const toRefusal = (error: unknown): DatabaseError =>
  error instanceof DatabaseError
    ? error
    : new ConnectionError(`Postgres refuses the connection: ${errorMessage(error)}`);

const isBusyCode = (code: string) =>
  BUSY_CLASSES.includes(code.slice(0, 2)) ||
  BUSY_CODES.includes(code) ||
  PREPARED_STATEMENT_CODES.includes(code);

export const isOfPreparedStatement = (error: unknown) =>
  error instanceof pg.DatabaseError && PREPARED_STATEMENT_CODES.includes(errorCode(error));

/** Returns the driver's error of a store's error. */
function driverError(error: unknown): unknown {
  return error instanceof StoreBusyError && error.cause !== undefined ? error.cause : error;
}

/** Whether the transaction was rolled back for a reason that is over, so that it may succeed when it runs again. */
export function isConflict(error: unknown): boolean {
  if (error instanceof TransactionConflict) return true;
  const cause = driverError(error);
  if (isOfPreparedStatement(cause)) return true;
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

const READ_ONLY = '25006';
const NOT_SUPPORTED = '0A000';

/**
 * Whether the server is a standby, to which a pooler or a proxy can lead a connection that began on the primary.
 * @param isBegin whether the statement begins a transaction that writes
 */
export function isOfStandby(error: unknown, { isBegin }: { isBegin: boolean }): boolean {
  const code = errorCode(error);
  return code === READ_ONLY || (code === NOT_SUPPORTED && isBegin);
}

export function toStandbyError(error: unknown): StoreBusyError {
  return new StoreBusyError(`the server is read-only: ${errorMessage(error)}`, { cause: error });
}

/** A pooler refuses settings in the first message: each transaction sets them instead. */
export function refusesSettings(error: unknown): boolean {
  return /unsupported startup parameter/i.test(errorMessage(error));
}

/**
 * The user, the password, the database, the certificate or a setting is wrong: at the start, trying again does not help. Later
 * the same error is like a server that does not run.
 */
export function isRefusal(error: unknown): boolean {
  const code = errorCode(error);
  if (error instanceof pg.DatabaseError) return code.startsWith('28') || code === '3D000';
  const isOfTls = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code);
  return error instanceof DatabaseError || isOfTls || /does not support SSL/.test(errorMessage(error));
}
