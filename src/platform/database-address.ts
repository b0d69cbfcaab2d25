import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { PostgresUrlError, parsePostgresUrl } from './postgres-url.ts';

/** The database of the setting DATABASE_URL. A URL of Postgres can contain a password. */
export type DatabaseAddress =
  | { readonly kind: 'sqlite'; readonly file: string }
  | { readonly kind: 'postgres'; readonly url: string };

const QUOTE_AT_AN_END = /^["'`\p{Pi}\p{Pf}]|["'`\p{Pi}\p{Pf}]$/u;
/** Not by URL, which refuses a list of hosts. */
const POSTGRES_URL = /^postgres(?:ql)?:\/\/(?:[^/?#\s]*@)?([^/?#@\s]*)\/([^/?#@\s]+)(?:\?([^#\s]*))?$/;

export const databaseAddress = z.string().transform((text, context): DatabaseAddress => {
  if (POSTGRES_URL.test(text) && !QUOTE_AT_AN_END.test(text)) {
    const problem = problemOf(text);
    if (problem === null) return { kind: 'postgres', url: text };
    context.addIssue({ code: 'custom', message: problem });
    return z.NEVER;
  }
  const file = databasePath(text);
  if (file !== null) return { kind: 'sqlite', file };
  context.addIssue({
    code: 'custom',
    message: /^postgres/i.test(text)
      ? 'expected postgres://USER:PASSWORD@HOST:5432/DATABASE, with special characters in the user and the password as %XX'
      : 'expected file:PATH, such as file:data/hangup.db or file:///var/lib/hangup/hangup.db; or postgres://USER:PASSWORD@HOST:5432/DATABASE',
  });
  return z.NEVER;
});

function problemOf(postgresUrl: string): string | null {
  try {
    parsePostgresUrl(postgresUrl);
    return null;
  } catch (error) {
    if (error instanceof PostgresUrlError) return error.message;
    throw error;
  }
}

/** Returns the file, or the hosts and the database without user, password and parameters: for logs and messages. */
export function describeDatabase(address: DatabaseAddress): string {
  if (address.kind === 'sqlite') return address.file;
  const [, authority = '', database = '', query = ''] = POSTGRES_URL.exec(address.url) ?? [];
  return `postgres://${new URLSearchParams(query).get('host') ?? authority}/${database}`;
}

function databasePath(text: string): string | null {
  // A file name that ends with a space or a quote is a mistake.
  if (text.trim() !== text || /\p{Cc}/u.test(text) || QUOTE_AT_AN_END.test(text)) return null;
  // In file://data/hangup.db, data is a host. SQLite keeps :memory: nowhere.
  if (!/^file:(\/\/(?=\/)|(?!\/\/|:memory:))[^?#]+$/.test(text)) return null;
  try {
    const path = text.startsWith('file:///') ? fileURLToPath(text) : text.slice('file:'.length);
    return path.includes('\0') ? null : path;
  } catch {
    // A path cannot contain an encoded slash.
    return null;
  }
}
