/** A part of a `postgres://` URL is wrong. The message does not contain the URL: its password must not reach a log. */
export class PostgresUrlError extends Error {
  override readonly name = 'PostgresUrlError';
}

export interface Host {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
}

const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;

/** A parsed `postgres://` URL. */
export interface PostgresUrl {
  readonly hosts: readonly [Host, ...Host[]];
  readonly database: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly sslMode: (typeof SSL_MODES)[number];
  /** Paths of files in PEM. */
  readonly certificates: Readonly<Record<(typeof CERTIFICATES)[number], string | null>>;
  readonly applicationName: string;
  /** False: for a pooler without support for prepared statements. */
  readonly hasPreparedStatements: boolean;
  /** The largest number of connections for reads and for writes other than changes of calls. */
  readonly poolSize: number;
}

const DEFAULT_PORT = 5432;
const MAX_PORT = 65_535;
const DEFAULT_POOL_SIZE = 8;
const MAX_POOL_SIZE = 100;
const CERTIFICATES = ['sslrootcert', 'sslcert', 'sslkey'] as const;
const PARAMETERS = [
  'host',
  'sslmode',
  ...CERTIFICATES,
  'target_session_attrs',
  'application_name',
  'prepared_statements',
  'pool_size',
];

/**
 * Parses a URL `postgres://user:password@host1:5432,host2:5432/database?sslmode=verify-full`.
 * @throws PostgresUrlError
 */
export function parsePostgresUrl(text: string): PostgresUrl {
  // Not by URL, which refuses a list of hosts.
  const match = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#@]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text);
  if (match === null) {
    throw new PostgresUrlError('use postgres://user:password@host:5432/database');
  }
  const [, credentials = '', authority = '', database = '', query = ''] = match;
  const parameters = parseParameters(query);
  const [user = '', ...password] = credentials.split(':');
  if (database === '') throw new PostgresUrlError('the database has no name');
  checkTarget(parameters.get('target_session_attrs') ?? 'read-write');
  const fileOf = (name: (typeof CERTIFICATES)[number]) => parameters.get(name) ?? null;
  return {
    hosts: parseHosts(parameters.get('host') ?? decode(authority)),
    database: decode(database),
    user: user === '' ? undefined : decode(user),
    password: password.length === 0 ? undefined : decode(password.join(':')),
    sslMode: parseSslMode(parameters.get('sslmode') ?? 'disable'),
    certificates: {
      sslrootcert: fileOf('sslrootcert'),
      sslcert: fileOf('sslcert'),
      sslkey: fileOf('sslkey'),
    },
    applicationName: parameters.get('application_name') ?? 'hangup',
    hasPreparedStatements: parseBoolean('prepared_statements', parameters.get('prepared_statements')),
    poolSize: parsePoolSize(parameters.get('pool_size')),
  };
}

/** As in libpq, `+` is not a space. */
function parseParameters(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&').filter((text) => text !== '')) {
    const [name = '', ...value] = pair.split('=').map(decode);
    if (!PARAMETERS.includes(name)) {
      throw new PostgresUrlError(`the parameter ${name} is unknown. Known: ${PARAMETERS.join(', ')}`);
    }
    if (parameters.has(name)) throw new PostgresUrlError(`the parameter ${name} is repeated`);
    parameters.set(name, value.join('='));
  }
  return parameters;
}

function decode(text: string): string {
  const decoded = decodePercent(text);
  // A NUL ends each text of the first message to Postgres.
  if (decoded.includes('\0')) throw new PostgresUrlError('%00 is not allowed');
  return decoded;
}

function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new PostgresUrlError('a % is not followed by two hex digits: write a literal % as %25');
  }
}

function parseHosts(list: string): readonly [Host, ...Host[]] {
  const [first = '', ...others] = list.split(',');
  return [parseHost(first), ...others.map(parseHost)];
}

function parseHost(text: string): Host {
  if (text.startsWith('/')) {
    const [, folder = text, port] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
    return { host: folder, port: parsePort(port) };
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*))(?::(\d{1,5}))?$/.exec(text);
  if (match === null) throw new PostgresUrlError('a host is not a name or an address with a port');
  const [, address, name = '', port] = match;
  const host = address ?? name;
  return { host: host === '' ? 'localhost' : host, port: parsePort(port) };
}

function parsePort(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  const port = Number(text);
  if (port >= 1 && port <= MAX_PORT) return port;
  throw new PostgresUrlError(`a port must be from 1 to ${MAX_PORT}`);
}

/** hangup writes, so a standby is never a target. */
function checkTarget(target: string): void {
  if (target !== 'read-write' && target !== 'primary') {
    throw new PostgresUrlError('target_session_attrs must be read-write or primary');
  }
}

function parseSslMode(value: string): PostgresUrl['sslMode'] {
  const mode = SSL_MODES.find((known) => known === value);
  if (mode === undefined)
    throw new PostgresUrlError('sslmode must be disable, require, verify-ca or verify-full');
  return mode;
}

function parseBoolean(name: string, value: string | undefined): boolean {
  if (value === undefined || value === 'true') return true;
  if (value === 'false') return false;
  throw new PostgresUrlError(`${name} must be true or false`);
}

function parsePoolSize(value: string | undefined): number {
  if (value === undefined) return DEFAULT_POOL_SIZE;
  const size = /^\d{1,3}$/.test(value) ? Number(value) : 0;
  if (size >= 1 && size <= MAX_POOL_SIZE) return size;
  throw new PostgresUrlError(`pool_size must be a whole number from 1 to ${MAX_POOL_SIZE}`);
}
