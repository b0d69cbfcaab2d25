import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { errorMessage } from '../../domain/errors.ts';
import { DatabaseError } from '../database-error.ts';

export interface Host {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

/** A parsed `postgres://` URL. */
export interface ConnectionUrl {
  readonly hosts: readonly [Host, ...Host[]];
  readonly database: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly ssl: ConnectionOptions | false;
  readonly applicationName: string;
  /** False: for a pooler without support for prepared statements. */
  readonly hasPreparedStatements: boolean;
  /** The largest number of connections for reads and for writes other than changes of calls. */
  readonly poolSize: number;
}

const DEFAULT_PORT = 5432;
const DEFAULT_POOL_SIZE = 8;
const MAX_POOL_SIZE = 100;
const PARAMETERS = [
  'host',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'target_session_attrs',
  'application_name',
  'prepared_statements',
  'pool_size',
];

/**
 * Parses a URL `postgres://user:password@host1:5432,host2:5432/database?sslmode=verify-full`. An error does not contain the
 * URL: its password must not reach a log.
 * @throws DatabaseError
 */
export function parseConnectionUrl(text: string): ConnectionUrl {
  // Not by URL, which refuses a list of hosts.
  const match = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (match === null) {
    throw invalid('use postgres://user:password@host:5432/database');
  }
  const [, credentials = '', authority = '', database = '', query = ''] = match;
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) {
    throw invalid(`its parameter ${unknown} is unknown. Known: ${PARAMETERS.join(', ')}`);
  }
  const [user = '', ...password] = credentials.split(':');
  if (database === '') throw invalid('it names no database');
  checkTarget(parameters.get('target_session_attrs') ?? 'read-write');
  return {
    hosts: parseHosts(parameters.get('host') ?? decode(authority)),
    database: decode(database),
    user: user === '' ? undefined : decode(user),
    password: password.length === 0 ? undefined : decode(password.join(':')),
    ssl: toTls(parameters),
    applicationName: parameters.get('application_name') ?? 'hangup',
    hasPreparedStatements: parseBoolean('prepared_statements', parameters.get('prepared_statements')),
    poolSize: parsePoolSize(parameters.get('pool_size')),
  };
}

const invalid = (problem: string) => new DatabaseError(`DATABASE_URL is invalid: ${problem}.`);

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('a % is not followed by two hex digits: write a literal % as %25');
  }
}

function parseHosts(list: string): readonly [Host, ...Host[]] {
  const [first = '', ...others] = list.split(',');
  return [parseHost(first), ...others.map(parseHost)];
}

function parseHost(text: string): Host {
  if (text.startsWith('/')) {
    const [, folder = text, port] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
    return { host: folder, port: port === undefined ? DEFAULT_PORT : Number(port) };
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw invalid(`a host is not a name or an address with a port`);
  const [, address, name = '', port] = match;
  const host = address ?? name;
  return { host: host === '' ? 'localhost' : host, port: port === undefined ? DEFAULT_PORT : Number(port) };
}

/** hangup writes, so a standby is never a target. */
function checkTarget(target: string): void {
  if (target !== 'read-write' && target !== 'primary') {
    throw invalid('target_session_attrs must be read-write or primary');
  }
}

function toTls(parameters: URLSearchParams): ConnectionOptions | false {
  const mode = parameters.get('sslmode') ?? 'disable';
  if (mode === 'disable') return false;
  const read = (name: string) => {
    const file = parameters.get(name);
    return file === null ? undefined : readCertificate(name, file);
  };
  const ca = read('sslrootcert');
  const files = { ca, cert: read('sslcert'), key: read('sslkey') };
  // As in libpq: with a root certificate, `require` also verifies.
  if (mode === 'verify-ca' || (mode === 'require' && ca !== undefined)) {
    return { ...files, rejectUnauthorized: true, checkServerIdentity: () => undefined };
  }
  if (mode === 'require') return { ...files, rejectUnauthorized: false };
  if (mode === 'verify-full') return { ...files, rejectUnauthorized: true };
  throw invalid('sslmode must be disable, require, verify-ca or verify-full');
}

function readCertificate(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`${name} cannot be read: ${errorMessage(error)}`);
  }
}

function parseBoolean(name: string, value: string | null): boolean {
  if (value === null || value === 'true') return true;
  if (value === 'false') return false;
  throw invalid(`${name} must be true or false`);
}

function parsePoolSize(value: string | null): number {
  if (value === null) return DEFAULT_POOL_SIZE;
  const size = Number(value);
  if (Number.isInteger(size) && size >= 1 && size <= MAX_POOL_SIZE) return size;
  throw invalid(`pool_size must be a whole number from 1 to ${MAX_POOL_SIZE}`);
}
