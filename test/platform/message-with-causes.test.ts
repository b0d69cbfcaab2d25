import { expect, test } from 'vitest';
import { messageWithCauses } from '../../src/platform/message-with-causes.ts';
import { toConnectError, toStoreError } from '../../src/store/postgres/errors.ts';

const REFUSED = 'connect ECONNREFUSED 127.0.0.1:5432';

test.each([
  ['connection', toConnectError, `the database cannot be reached: ${REFUSED}`],
  ['statement', toStoreError, `the database cannot be used now: ${REFUSED}`],
])('the error of a %s in an outage of Postgres names its cause once', (_, wrap, expected) => {
  const cause = wrap(new Error(REFUSED));
  expect(messageWithCauses(new Error('Service unavailable', { cause }))).toBe(
    `Service unavailable: ${expected}`,
  );
});

test('a message is followed by the causes that it does not name', () => {
  const socket = new Error('read ECONNRESET');
  const driver = new Error('Connection terminated', { cause: socket });
  expect(messageWithCauses(new Error('', { cause: driver }))).toBe('Connection terminated: read ECONNRESET');
  const wrapped = new Error('Service unavailable', { cause: toStoreError(driver) });
  expect(messageWithCauses(wrapped)).toBe(
    'Service unavailable: the database cannot be used now: Connection terminated: read ECONNRESET',
  );
});

test('a circle of causes ends', () => {
  const inner = new Error('inner');
  const outer = new Error('outer', { cause: inner });
  inner.cause = outer;
  expect(messageWithCauses(outer)).toBe('outer: inner');
});

test('the error of a host with several addresses names each failed address once', () => {
  const messages = ['connect ECONNREFUSED ::1:5432', REFUSED];
  const error = toConnectError(new AggregateError(messages.map((message) => new Error(message))));
  expect(messageWithCauses(error)).toBe(`the database cannot be reached: ${messages.join('; ')}`);
});
