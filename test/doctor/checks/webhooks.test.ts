import { expect, test } from 'vitest';
import { assessWebhooks } from '../../../src/doctor/checks/webhooks.ts';
import { REFUSAL_REASONS } from '../../../src/domain/webhook-refusal.ts';
import { countsWith } from '../facts.ts';

const NOW = 1e9;

test.each([
  [null, 1, 'warning', true],
  [null, 0, 'unknown', false],
  [3_600_000, 1, 'ok', false],
  [3_601_000, 1, 'unknown', true],
  [3_601_000, 0, 'ok', false],
])(
  'a last webhook %j ms ago with %i live calls is reported as %s; advice lists the refusal reasons: %s',
  (ageMs, liveCalls, level, areListed) => {
    const lastWebhookAt = ageMs === null ? null : NOW - ageMs;
    const finding = assessWebhooks({ lastWebhookAt, counts: countsWith(liveCalls) }, NOW);
    expect(finding).toMatchObject({ check: 'webhooks', level });
    const reasons = [...(finding.advice ?? '').matchAll(/^ {2}(\w+): \w/gm)].map(([, reason]) => reason);
    expect(reasons).toEqual(areListed ? REFUSAL_REASONS : []);
  },
);

test('the age of the last webhook is in the message', () => {
  const messages = [-500, 5_000, 300_000, 36_000_000].map(
    (ageMs) => assessWebhooks({ lastWebhookAt: NOW - ageMs, counts: countsWith(0) }, NOW).message,
  );
  expect(messages).toEqual([
    'last webhook received 0 seconds ago',
    'last webhook received 5 seconds ago',
    'last webhook received 5 minutes ago',
    'last webhook received 10 hours ago',
  ]);
});
