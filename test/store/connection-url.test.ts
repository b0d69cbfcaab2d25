import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConnectionUrl } from '../../src/store/postgres/connection-url.ts';
import { temporaryFolder } from '../harness/temporary.ts';

describe('the URL of a Postgres database', () => {
  test('has a user, a password, a host with a port and a database', () => {
    expect(parseConnectionUrl('postgres://me:p%40ss:word@db.example:6432/calls')).toEqual({
      hosts: [{ host: 'db.example', port: 6432 }],
      user: 'me',
      password: 'p@ss:word',
      database: 'calls',
      ssl: false,
      applicationName: 'hangup',
      hasPreparedStatements: true,
      poolSize: 8,
    });
  });

  test.each([
    ['postgresql://db/calls', [{ host: 'db', port: 5432 }]],
    ['postgres:///calls', [{ host: 'localhost', port: 5432 }]],
    [
      'postgres://one,two:5433,[::1]:5434/calls',
      [
        { host: 'one', port: 5432 },
        { host: 'two', port: 5433 },
        { host: '::1', port: 5434 },
      ],
    ],
    ['postgres://me@/calls?host=/run/postgresql', [{ host: '/run/postgresql', port: 5432 }]],
    ['postgres://me@%2Frun%2Fpostgresql:5433/calls', [{ host: '/run/postgresql', port: 5433 }]],
    ['postgres://db/calls?host=/run/a+b', [{ host: '/run/a+b', port: 5432 }]],
    ['postgres://db/calls?target_session_attrs=primary', [{ host: 'db', port: 5432 }]],
  ])('%s names the hosts', (url, hosts) => {
    expect(parseConnectionUrl(url).hosts).toEqual(hosts);
  });

  test('chooses how far TLS verifies the server', () => {
    const file = join(temporaryFolder(), 'ca.pem');
    writeFileSync(file, 'certificate');
    const sslOf = (parameters: string) => parseConnectionUrl(`postgres://db/calls?${parameters}`).ssl;
    expect(sslOf('sslmode=disable')).toBe(false);
    expect(sslOf('sslmode=require')).toMatchObject({ rejectUnauthorized: false });
    const root = `sslrootcert=${encodeURIComponent(file)}`;
    for (const mode of ['require', 'verify-ca']) {
      expect(sslOf(`sslmode=${mode}&${root}`)).toMatchObject({
        ca: 'certificate',
        rejectUnauthorized: true,
        checkServerIdentity: expect.any(Function),
      });
    }
    const full = sslOf(`sslmode=verify-full&${root}`);
    expect(full).toMatchObject({ ca: 'certificate', rejectUnauthorized: true });
    expect(full).not.toHaveProperty('checkServerIdentity');
  });

  test('chooses prepared statements and the size of the pool', () => {
    expect(parseConnectionUrl('postgres://db/calls?prepared_statements=false&pool_size=3')).toMatchObject({
      hasPreparedStatements: false,
      poolSize: 3,
    });
  });

  test.each([
    ['mysql://me:secret@db/calls', /use postgres:/],
    ['postgres://me:secret@db', /database has no name/],
    ['postgres://me:secret%zz@db/calls', /two hex digits/],
    ['postgres://me:secret@db:port/calls', /not a name or an address/],
    ['postgres://me:secret@db/calls?sslmode=prefer', /sslmode must be/],
    ['postgres://me:secret@db/calls?sslmod=require', /parameter sslmod is unknown/],
    ['postgres://me:secret@db/calls?sslmode=require&sslrootcert=/none', /sslrootcert cannot be read: ENOENT/],
    ['postgres://me:secret@db/calls?pool_size=3&pool_size=4', /parameter pool_size is repeated/],
    ['postgres://me:secret@db/calls?application_name=a%00b', /%00 is not allowed/],
    ['postgres://me:secret%00@db/calls', /%00 is not allowed/],
    ['postgres://me:secret@db:65536/calls', /a port must be from 1 to 65535/],
    ['postgres://me:secret@db:0/calls', /a port must be from 1 to 65535/],
    ['postgres://me:secret@db/calls?target_session_attrs=any', /must be read-write or primary/],
    ['postgres://me:secret@db/calls?pool_size=0', /pool_size must be/],
    ['postgres://me:secret@db/calls?prepared_statements=no', /must be true or false/],
  ])('%s is refused with the reason, without the password', (url, reason) => {
    expect(() => parseConnectionUrl(url)).toThrow(reason);
    expect(() => parseConnectionUrl(url)).not.toThrow(/secret/);
  });
});
