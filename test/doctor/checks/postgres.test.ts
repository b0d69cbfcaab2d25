import { expect, test } from 'vitest';
import { assessPostgres, assessPostgresDurability } from '../../../src/doctor/checks/postgres.ts';
import { POSTGRES } from '../facts.ts';

const NAME = 'postgres://db.example.com/hangup';

test('a database that cannot be used is a failure with the cause', () => {
  expect(assessPostgres(NAME, { kind: 'unusable', detail: 'connect ECONNREFUSED' })).toMatchObject({
    check: 'database',
    level: 'failure',
    message: `cannot use ${NAME}: connect ECONNREFUSED`,
  });
});

test('a database without tables of hangup is a failure, and hangup migrate is the remedy for a new database', () => {
  expect(assessPostgres(NAME, { ...POSTGRES, schema: 'uninitialized' })).toMatchObject({
    check: 'database',
    level: 'failure',
    message: `${NAME} (Postgres 17.2) has no tables of hangup`,
    advice: expect.stringContaining('hangup migrate'),
  });
});

test.each([
  ['', 'no synchronous standby, so a failover can lose the last changes'],
  ['ANY 1 (a, b)', 'synchronous_standby_names=ANY 1 (a, b)'],
])('the durability finding has the settings of the server (standbys: %j)', (standbys, replication) => {
  expect(assessPostgresDurability({ ...POSTGRES, standbys })).toEqual({
    check: 'durability',
    level: 'ok',
    message: `Postgres 17.2, synchronous_commit=on; ${replication}`,
  });
});
