import { expect, test } from 'vitest';
import { byLevel, countLevels, type Finding } from '../../src/console/health/findings.ts';
import { axisMax, formatValue, summarize, toRows, toSeconds } from '../../src/console/health/history.ts';
import { explainDeletionError } from '../../src/console/room-deletions/explain-error.ts';

test('the findings that need an operator come first, and equal levels keep their order', () => {
  const finding = (check: string, level: Finding['level']): Finding => ({
    check,
    level,
    message: '',
    advice: null,
  });
  const findings = [
    finding('settings', 'ok'),
    finding('version', 'unknown'),
    finding('disk', 'warning'),
    finding('livekit', 'failure'),
    finding('rooms', 'warning'),
  ];
  expect(byLevel(findings).map(({ check }) => check)).toEqual([
    'livekit',
    'disk',
    'rooms',
    'version',
    'settings',
  ]);
  expect([...countLevels(findings)]).toEqual([
    ['failure', 1],
    ['warning', 2],
    ['unknown', 1],
    ['ok', 1],
  ]);
});

test('a series without a value has no summary, and missing values do not count as zero', () => {
  expect(summarize([null, null])).toBeNull();
  expect(summarize([])).toBeNull();
  expect(summarize([null, 4, 0.5, 2, null])).toEqual({ latest: 2, min: 0.5, max: 4 });
});

test('the table has the largest values of each five minutes, the newest first', () => {
  const seconds = toSeconds([
    '2026-11-26T08:04:50.000Z',
    '2026-11-26T08:05:00.000Z',
    '2026-11-26T08:05:10.000Z',
    '2026-11-26T08:09:50.000Z',
  ]);
  const rows = toRows(seconds, [
    [9, 1, 3, 2],
    [null, null, null, null],
    [null, 0, null, null],
  ]);
  expect(rows.map(({ from, values }) => [new Date(from * 1000).toISOString(), values])).toEqual([
    ['2026-11-26T08:05:00.000Z', [3, null, 0]],
    ['2026-11-26T08:00:00.000Z', [9, null, null]],
  ]);
});

test('the axis ends at a round number at or above the largest value', () => {
  expect([null, 0, 0.3, 1, 1.1, 7, 12, 230, 9_999].map(axisMax)).toEqual([
    1, 1, 0.5, 1, 2, 10, 20, 250, 10_000,
  ]);
  expect([0.125, 3, 12.5, 4_000].map(formatValue)).toEqual(['0.13', '3', '13', '4,000']);
});

test('the errors of room deletions have a cause in plain words, and a remedy if an operator can act', () => {
  const remedies = {
    'unavailable: connect ECONNREFUSED 127.0.0.1:7880': false,
    'timed_out: no response within 10000 ms': false,
    'rate_limited: too many requests': true,
    'refused (unauthenticated): invalid token': true,
    'refused (bad_route): no handler': true,
  };
  for (const [error, hasRemedy] of Object.entries(remedies)) {
    const explained = explainDeletionError(error);
    expect(explained?.cause, error).toMatch(/LiveKit/);
    expect(explained?.remedy !== null, error).toBe(hasRemedy);
  }
  expect(explainDeletionError('another kind')).toBeNull();
});
