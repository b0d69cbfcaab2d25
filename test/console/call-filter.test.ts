import { expect, test } from 'vitest';
import {
  countFields,
  DEFAULT_FILTER,
  matchesStatus,
  parseFilter,
  toListInput,
  toSearch,
  toStopSearch,
} from '../../src/console/calls/filter.ts';
import { fromLocalField, toLocalField } from '../../src/console/ui/filter-time.ts';

const FULL =
  'status=ringing&status=active&agentId=sales+de&direction=inbound&phoneNumber=%2B15551234567&startDate=2026-11-20&endDate=2026-11-21T10%3A00%3A00.000Z&cancellationId=can_1&sortBy=scheduledAt&sortOrder=asc';

test('an address without a query has the live calls, the newest first', () => {
  expect(parseFilter('')).toEqual(DEFAULT_FILTER);
  expect(toSearch(DEFAULT_FILTER)).toBe('');
  expect(toListInput(DEFAULT_FILTER)).toEqual({
    status: ['initiated', 'connecting', 'ringing', 'active'],
    sortBy: 'createdAt',
    sortOrder: 'desc',
  });
});

test('an address has every filter', () => {
  const filter = parseFilter(FULL);
  expect(toSearch(filter)).toBe(FULL);
  expect(countFields(filter)).toBe(8);
  expect(toListInput(filter)).toEqual({
    status: ['ringing', 'active'],
    agentId: 'sales de',
    direction: 'inbound',
    phoneNumber: '+15551234567',
    startDate: '2026-11-20',
    endDate: '2026-11-21T10:00:00.000Z',
    cancellationId: 'can_1',
    sortBy: 'scheduledAt',
    sortOrder: 'asc',
  });
});

test('status=any selects every status', () => {
  const filter = parseFilter('status=any');
  expect(filter.statuses).toBeNull();
  expect(toSearch(filter)).toBe('status=any');
  expect(toListInput(filter)).not.toHaveProperty('status');
  expect(matchesStatus(filter, 'busy')).toBe(true);
  expect(matchesStatus(DEFAULT_FILTER, 'busy')).toBe(false);
});

test('values that hangup would refuse are left out of the filter', () => {
  const search =
    'status=dead&direction=up&startDate=yesterday&endDate=2026-13-01&sortBy=id&sortOrder=no&agentId=+';
  expect(parseFilter(search)).toEqual(DEFAULT_FILTER);
});

test('the Stop page gets the live part of the filter', () => {
  expect(toStopSearch(DEFAULT_FILTER)).toBe('');
  expect(toStopSearch(parseFilter('status=any&agentId=sales'))).toBe('agentId=sales');
  expect(toStopSearch(parseFilter('status=active&status=failed&startDate=2026-11-20'))).toBe(
    'status=active&startDate=2026-11-20',
  );
});

test('a stop cannot select ended calls, a search or a cancellation', () => {
  expect(toStopSearch(parseFilter('status=failed'))).toBeNull();
  expect(toStopSearch(parseFilter('text=%2B1555'))).toBeNull();
  expect(toStopSearch(parseFilter('cancellationId=can_1'))).toBeNull();
});

test('a field has the local time of the filter, and the end includes its last minute', () => {
  const start = fromLocalField('2026-11-20T08:30', 'start');
  const end = fromLocalField('2026-11-20T08:30', 'end');
  expect(Date.parse(end) - Date.parse(start)).toBe(59_999);
  expect(toLocalField(start, 'start')).toBe('2026-11-20T08:30');
  expect(toLocalField(end, 'end')).toBe('2026-11-20T08:30');
  expect(fromLocalField('', 'start')).toBe('');
  expect(toLocalField('', 'end')).toBe('');
});
