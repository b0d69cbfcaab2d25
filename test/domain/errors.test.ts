import { expect, test } from 'vitest';
import { errorMessage } from '../../src/domain/errors.ts';

test('an AggregateError without a message has the distinct messages of its errors', () => {
  const [first, second] = ['connect ECONNREFUSED ::1:5432', 'connect ECONNREFUSED 127.0.0.1:5432'];
  const errors = [first, second, second].map((message) => new Error(message));
  expect(errorMessage(new AggregateError(errors))).toBe(`${first}; ${second}`);
  expect(errorMessage(new AggregateError(errors, 'no address answers'))).toBe('no address answers');
});
