import { expect, test } from 'vitest';
import { createKeyring } from '../../src/console/api/idempotency.ts';
import { allowanceOf, isTypedNumber } from '../../src/console/stop/confirmation.ts';
import { isOpen, percent, progressOf } from '../../src/console/stop/progress.ts';
import {
  fromOptionValue,
  NO_FILTER,
  OPTION_VALUES,
  parseLink,
  toLink,
  toOptionValue,
  toSelector,
} from '../../src/console/stop/selection.ts';
import { fromLocalField, toInstant, toLocalField } from '../../src/console/ui/filter-time.ts';

test('the allowance covers a few calls that start during the confirmation, and not another size of stop', () => {
  expect([0, 1, 50, 51, 5_000].map(allowanceOf)).toEqual([5, 5, 5, 6, 500]);
});

test('a typed number counts with separators between its digits, and only with all of its digits', () => {
  for (const typed of ['1234', ' 1234 ', '1,234', '1.234', '1 234', '1’234']) {
    expect(isTypedNumber(typed, 1234), typed).toBe(true);
  }
  for (const typed of ['', '123', '12345', '-1234', '1234a', '01234', '1e3', '12.34', '1..234']) {
    expect(isTypedNumber(typed, 1234), typed).toBe(false);
  }
  expect(isTypedNumber('', 0)).toBe(false);
  expect(isTypedNumber('0', 0)).toBe(true);
});

test('equal requests have one Idempotency-Key until a definite response, and other requests have other keys', () => {
  let created = 0;
  const keyring = createKeyring(() => `key ${++created}`);
  const request = { all: true, reason: 'test' };
  expect(keyring.keyFor(request)).toBe('key 1');
  expect(keyring.keyFor({ ...request })).toBe('key 1');
  expect(keyring.keyFor({ ...request, reason: 'other' })).toBe('key 2');
  expect(keyring.keyFor(request)).toBe('key 1');
  keyring.discard();
  expect(keyring.keyFor({ ...request, reason: 'other' })).toBe('key 3');
  const [key, other] = [createKeyring(), createKeyring()].map((one) => one.keyFor(request));
  expect(key).toMatch(/^console-[0-9a-f]{32}$/);
  expect(other).not.toBe(key);
});

test('an empty filter selects nothing, never every call', () => {
  expect(toSelector({ kind: 'none' })).toBeNull();
  expect(toSelector({ kind: 'filter', fields: NO_FILTER })).toBeNull();
  expect(toSelector({ kind: 'filter', fields: { ...NO_FILTER, agentId: ' ', phoneNumber: ' ' } })).toBeNull();
  expect(toSelector({ kind: 'all' })).toEqual({ all: true });
  expect(toSelector({ kind: 'agent', agentId: 'receptionist' })).toEqual({
    filter: { agentId: 'receptionist' },
  });
});

test('an agent whose id is a word of the page is an agent', () => {
  for (const agentId of ['Everything', 'all', 'filter', 'none']) {
    const value = toOptionValue({ kind: 'agent', agentId });
    expect(Object.values(OPTION_VALUES)).not.toContain(value);
    expect(fromOptionValue(value, NO_FILTER)).toEqual({ kind: 'agent', agentId });
  }
});

test('the link of a filter selects the same filter', () => {
  const filter = {
    agentId: 'sales & more',
    status: ['ringing' as const, 'active' as const],
    direction: 'outbound' as const,
    phoneNumber: '+15551234567',
    startDate: '2026-11-26T08:00:00.000Z',
    endDate: '2026-11-27',
  };
  const link = parseLink(toLink(filter));
  expect(link.kind === 'selection' && toSelector(link.selection)).toEqual({ filter });
  expect(parseLink('')).toEqual({ kind: 'selection', selection: { kind: 'none' } });
  expect(parseLink('?agentId=sales')).toEqual({
    kind: 'selection',
    selection: { kind: 'agent', agentId: 'sales' },
  });
  expect(parseLink('?status=ringing,active')).toEqual(parseLink('?status=ringing&status=active'));
});

test('a link whose filter a stop cannot have selects nothing, and the field is named', () => {
  const fields = {
    'agentId=sales&status=completed': 'status',
    'status=ringing,busy': 'status',
    'agentId=sales&direction=up': 'direction',
    'agentId=sales&startDate=yesterday': 'startDate',
    'agentId=sales&text=Ada': 'text',
    'agentId=sales&agentId=reception': 'agentId',
  };
  for (const [search, field] of Object.entries(fields)) {
    expect(parseLink(search), search).toEqual({ kind: 'invalid', field });
  }
});

test('a time of a filter is the same instant in a field of the reader', () => {
  const start = '2026-11-26T08:05:00.000Z';
  expect(fromLocalField(toLocalField(start, 'start'), 'start')).toBe(start);
  expect(fromLocalField(toLocalField('2026-11-26', 'end'), 'end')).toBe('2026-11-26T23:59:59.999Z');
  expect(toInstant('2026-11-26', 'start').toISOString()).toBe('2026-11-26T00:00:00.000Z');
  expect([toLocalField('', 'start'), toLocalField('never', 'end'), fromLocalField('', 'start')]).toEqual([
    '',
    '',
    '',
  ]);
});

const counts = (cancelled: number, deleted: number, pending: number, discarded = 0) => ({
  matched: cancelled,
  cancelled,
  alreadyEnded: 0,
  notFound: 0,
  rooms: { deleted, pending, discarded },
});

test('the progress of a stop counts rooms, and is complete only without a room that is left', () => {
  expect(progressOf({ state: 'running', counts: counts(20, 5, 10) }, 100)).toEqual({
    total: 100,
    gone: 5,
    waiting: 10,
    discarded: 0,
    recording: 85,
    outcome: 'running',
  });
  // More calls matched than the preview showed.
  expect(progressOf({ state: 'running', counts: counts(120, 5, 115) }, 100).total).toBe(120);
  expect(progressOf({ state: 'completed', counts: counts(90, 90, 0) }, 100)).toMatchObject({
    total: 90,
    recording: 0,
    outcome: 'done',
  });
  expect(progressOf({ state: 'completed', counts: counts(90, 88, 0, 2) }).outcome).toBe('rooms_left');
  expect([percent(199, 200), percent(200, 200), percent(0, 0)]).toEqual([99, 100, 100]);
});

test('a stop is open while it runs or holds calls', () => {
  const lifted = { state: 'lifted' as const, liftedAt: null, liftedBy: null };
  const active = { ...lifted, state: 'active' as const };
  expect(isOpen({ state: 'running', hold: null })).toBe(true);
  expect(isOpen({ state: 'completed', hold: active })).toBe(true);
  expect(isOpen({ state: 'completed', hold: lifted })).toBe(false);
  expect(isOpen({ state: 'completed', hold: null })).toBe(false);
});
