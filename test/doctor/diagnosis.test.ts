import { expect, test } from 'vitest';
import { judgeDatabase } from '../../src/doctor/checks/database.ts';
import { judgeLiveKit } from '../../src/doctor/checks/livekit.ts';
import { type DatabaseFacts, judgeRecord, type LiveKitFacts } from '../../src/doctor/diagnosis.ts';
import { REFUSAL_REASONS } from '../../src/domain/webhook-refusal.ts';

const OPEN: Extract<DatabaseFacts, { kind: 'open' }> = {
  kind: 'open',
  schema: 'current',
  journalMode: 'wal',
  corruption: [],
  publicFiles: [],
  isOwn: true,
  isWritable: true,
  freeBytes: 2 * 1024 ** 3,
  walBytes: 4 * 1024 ** 2,
  record: null,
};
const ANSWERED: Extract<LiveKitFacts, { kind: 'answered' }> = {
  kind: 'answered',
  verdict: { kind: 'accepted', roomNames: [] },
  clockAheadMs: 0,
};
const RECORD = {
  census: {
    liveCalls: { initiated: 0, connecting: 0, ringing: 0, active: 0 },
    openDeletions: { available: 0, running: 0, retryable: 0, discarded: 0 },
    oldestOpenDeletionAt: null,
  },
  lastWebhookAt: null,
  livekitServers: [],
  rooms: { live: 0, ended: 0, unknown: 0 },
};

const levelOf = (check: string, findings: readonly { check: string; level: string }[]) =>
  findings.find((finding) => finding.check === check)?.level;

test.each([
  [2_500, 'ok'],
  [-2_500, 'ok'],
  [8_000, 'warning'],
  [-45_000, 'warning'],
  // The SDK takes a webhook that is signed up to 10 s ahead, LiveKit a token up to 60 s.
  [12_000, 'failure'],
  [-65_000, 'failure'],
  [-400_000, 'failure'],
  [null, 'unknown'],
])('a clock that is %j ms ahead: %s', (clockAheadMs, level) => {
  expect(levelOf('clock', judgeLiveKit('u', { ...ANSWERED, clockAheadMs }))).toBe(level);
});

test.each([
  [12_000, true],
  [8_000, false],
  [-65_000, false],
  // LiveKit gives a webhook's token 5 minutes.
  [-309_000, false],
  [-310_000, true],
])('a clock that is %j ms ahead: clock_skew is named: %s', (clockAheadMs, isNamed) => {
  const message = judgeLiveKit('u', { ...ANSWERED, clockAheadMs }).find(
    ({ check }) => check === 'clock',
  )?.message;
  expect(message?.includes('clock_skew')).toBe(isNamed);
});

test.each([
  [null, 1, 'warning', true],
  [null, 0, 'unknown', false],
  [3_600_000, 1, 'ok', false],
  [3_601_000, 1, 'unknown', true],
  [3_601_000, 0, 'ok', false],
])(
  'the last webhook %j ms ago, %i live calls: %s; the causes of refusals are named: %s',
  (msAgo, active, level, areNamed) => {
    const now = 1e9;
    const finding = judgeRecord(
      {
        ...RECORD,
        census: { ...RECORD.census, liveCalls: { ...RECORD.census.liveCalls, active } },
        lastWebhookAt: msAgo === null ? null : now - msAgo,
      },
      { now, isLiveKitListed: false },
    ).find(({ check }) => check === 'webhooks');
    expect(finding?.level).toBe(level);
    const causes = [...(finding?.advice ?? '').matchAll(/^ {2}(\w+): \w/gm)].map(([, reason]) => reason);
    expect(causes).toEqual(areNamed ? REFUSAL_REASONS : []);
  },
);

test.each([
  [5 * 1024 ** 3, 'ok'],
  [0.5 * 1024 ** 3, 'warning'],
  [1024 ** 2, 'failure'],
])('%i bytes free: %s', (freeBytes, level) => {
  expect(levelOf('disk', judgeDatabase('f', { ...OPEN, freeBytes }))).toBe(level);
});

test('row 17: a -wal of 121 MB is a warning that names its size and how to find the reader', () => {
  const disk = (walBytes: number) =>
    judgeDatabase('f', { ...OPEN, walBytes }).filter(({ check }) => check === 'disk');
  expect(disk(16 * 1024 ** 2)).toHaveLength(1);
  expect(disk(121_000_000)[1]).toEqual({
    check: 'disk',
    level: 'warning',
    message: 'f-wal has 115 MiB: a program has read the database for long without a pause',
    advice: expect.stringContaining('fuser -v f'),
  });
});

test.each([
  ['accepted', 0, 'ok'],
  ['token', 0, 'failure'],
  ['token', null, 'failure'],
  // The secret may be right: LiveKit takes no token of such a time.
  ['token', -3_600_000, 'unknown'],
  ['token', 10_800_000, 'unknown'],
  ['key', -3_600_000, 'failure'],
] as const)('LiveKit %s, its clock %j ms ahead: credentials are %s', (said, clockAheadMs, level) => {
  const verdict =
    said === 'accepted'
      ? ({ kind: 'accepted', roomNames: [] } as const)
      : ({ kind: 'refused', by: said } as const);
  expect(levelOf('credentials', judgeLiveKit('u', { ...ANSWERED, verdict, clockAheadMs }))).toBe(level);
});

test.each([
  ['u', ['u', 'v'], 'ok'],
  ['u', [], 'ok'],
  ['u', ['v'], 'warning'],
  ['u', ['v', 'u'], 'warning'],
  ['u', ['unrecorded'], 'ok'],
  [null, ['unrecorded'], 'failure'],
  [null, ['v'], 'failure'],
  [null, [], 'warning'],
])('LIVEKIT_URL %j on a database that was served with %j: %s', (url, servers, level) => {
  expect(levelOf('livekit', judgeLiveKit(url ?? '', url === null ? null : ANSWERED, servers))).toBe(level);
});

test("a journal that is no WAL, and another user's database, are warnings", () => {
  expect(levelOf('durability', judgeDatabase('f', { ...OPEN, journalMode: 'delete' }))).toBe('warning');
  expect(levelOf('access', judgeDatabase('f', { ...OPEN, isOwn: false }))).toBe('warning');
  expect(levelOf('access', judgeDatabase('f', { ...OPEN, isWritable: false }))).toBe('failure');
});

test('whatever is not ok says what to do; what is unknown says why', () => {
  const findings = [
    ...judgeDatabase('f', { kind: 'missing' }),
    ...judgeDatabase('f', { kind: 'unusable', detail: 'x', advice: 'y' }),
    ...(['none', 'older', 'newer'] as const).flatMap((schema) =>
      judgeDatabase('f', {
        ...OPEN,
        schema,
        journalMode: 'delete',
        corruption: ['x'],
        publicFiles: ['f'],
        freeBytes: 0,
      }),
    ),
    ...judgeLiveKit('u', null),
    ...judgeLiveKit('', null, ['v']),
    ...judgeLiveKit('u', ANSWERED, ['v']),
    ...judgeDatabase('f', { ...OPEN, isWritable: false }),
    ...judgeLiveKit('u', { kind: 'unreachable', detail: 'x' }),
    ...judgeLiveKit('u', { ...ANSWERED, verdict: { kind: 'no_livekit', status: 404 } }),
    ...(['key', 'token'] as const).flatMap((by) =>
      judgeLiveKit('u', { ...ANSWERED, verdict: { kind: 'refused', by }, clockAheadMs: 1e6 }),
    ),
    ...judgeRecord(
      {
        ...RECORD,
        census: { ...RECORD.census, liveCalls: { ...RECORD.census.liveCalls, active: 2 } },
        rooms: { live: 0, ended: 1, unknown: 0 },
      },
      { now: 0, isLiveKitListed: true },
    ),
  ].filter(({ level }) => level === 'warning' || level === 'failure');
  expect(findings.length).toBeGreaterThan(20);
  expect(findings.filter(({ advice }) => advice === undefined)).toEqual([]);
});

test('what came when, in words', () => {
  const webhooks = (msAgo: number) =>
    judgeRecord({ ...RECORD, lastWebhookAt: 1e9 - msAgo }, { now: 1e9, isLiveKitListed: false }).find(
      ({ check }) => check === 'webhooks',
    )?.message;
  expect([-500, 5_000, 300_000, 36_000_000].map(webhooks)).toEqual([
    'the last one came 0 s ago',
    'the last one came 5 s ago',
    'the last one came 5 min ago',
    'the last one came 10 h ago',
  ]);
});
