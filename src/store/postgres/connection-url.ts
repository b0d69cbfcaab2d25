import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { errorMessage } from '../../domain/errors.ts';
import { type PostgresUrl, PostgresUrlError, parsePostgresUrl } from '../../platform/postgres-url.ts';
import { DatabaseError } from '../database-error.ts';

/** A parsed `postgres://` URL, with the contents of its certificates. */
export interface ConnectionUrl extends Omit<PostgresUrl, 'sslMode' | 'certificates'> {
  readonly ssl: ConnectionOptions | false;
}

/** Parses a `postgres://` URL, and reads its certificates. @throws DatabaseError, without the password */
export function parseConnectionUrl(text: string): ConnectionUrl {
  try {
    const { sslMode, certificates, ...url } = parsePostgresUrl(text);
    return { ...url, ssl: toTls(sslMode, certificates) };
  } catch (error) {
    if (error instanceof PostgresUrlError) throw invalid(error.message);
    throw error;
  }
}

const invalid = (problem: string) => new DatabaseError(`DATABASE_URL is invalid: ${problem}.`);

function toTls(
  mode: PostgresUrl['sslMode'],
  certificates: PostgresUrl['certificates'],
): ConnectionOptions | false {
  if (mode === 'disable') return false;
  const read = (name: keyof typeof certificates) => {
    const file = certificates[name];
    return file === null ? undefined : readCertificate(name, file);
  };
  const ca = read('sslrootcert');
  const files = { ca, cert: read('sslcert'), key: read('sslkey') };
  // As in libpq: with a root certificate, `require` also verifies.
  if (mode === 'verify-ca' || (mode === 'require' && ca !== undefined)) {
    return { ...files, rejectUnauthorized: true, checkServerIdentity: () => undefined };
  }
  return { ...files, rejectUnauthorized: mode === 'verify-full' };
}

function readCertificate(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`${name} cannot be read: ${errorMessage(error)}`);
  }
}
