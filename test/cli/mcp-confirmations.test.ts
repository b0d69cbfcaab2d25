import { expect, test } from 'vitest';
import { CONFIRMATION_TTL_MS, Confirmations } from '../../src/cli/mcp/confirmations.ts';

const REQUEST = { filter: { agentId: 'a' }, reason: 'test', hold: false };

/** Returns the message of the refusal; null if the value is accepted. */
function refusal(
  confirmations: Confirmations<object>,
  value: string,
  now: number,
  request: object = REQUEST,
) {
  try {
    confirmations.check(value, { request, now });
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
}

function issue(value: string, now = 0) {
  const confirmations = new Confirmations<object>();
  confirmations.issue(value, { request: REQUEST, expectedAtMost: 3, now });
  return confirmations;
}

test('a value is valid for its request until the time limit, and has the number of calls', () => {
  const confirmations = issue('v', 1_000);
  expect(confirmations.check('v', { request: REQUEST, now: 1_000 + CONFIRMATION_TTL_MS - 1 })).toEqual({
    expectedAtMost: 3,
  });
  expect(refusal(confirmations, 'v', 1_000 + CONFIRMATION_TTL_MS)).toMatch(
    /^The confirmation value has expired, 10 minutes after its preview\. .* Nothing was started/,
  );
});

test('a value is valid for the same arguments in another order, and for no others', () => {
  const confirmations = issue('v');
  expect(
    refusal(confirmations, 'v', 0, { hold: false, reason: 'test', filter: { agentId: 'a' } }),
  ).toBeNull();
  expect(
    refusal(confirmations, 'v', 0, { ...REQUEST, filter: { agentId: 'a', direction: 'inbound' } }),
  ).toMatch(/differ from the preview: filter\./);
  expect(refusal(confirmations, 'v', 0, { all: true, reason: 'other', hold: true })).toMatch(
    /differ from the preview: filter, reason, hold, all\./,
  );
  expect(refusal(confirmations, 'v', 0)).toBeNull();
});

test('a used value names its stop, also after the time limit', () => {
  const confirmations = issue('v');
  confirmations.markUsed('v', 'can_1');
  expect(refusal(confirmations, 'v', CONFIRMATION_TTL_MS)).toMatch(/it has started the stop can_1\./);
});

test('the oldest of more than 100 values becomes unknown', () => {
  const confirmations = issue('0');
  for (let i = 1; i < 100; i += 1)
    confirmations.issue(String(i), { request: REQUEST, expectedAtMost: 0, now: 0 });
  expect(refusal(confirmations, '0', 0)).toBeNull();
  confirmations.issue('100', { request: REQUEST, expectedAtMost: 0, now: 0 });
  expect(refusal(confirmations, '0', 0)).toMatch(/^The confirmation value is unknown/);
  expect(refusal(confirmations, '1', 0)).toBeNull();
});
