import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventParser } from '../../clients/typescript/src/event-parser.ts';

const lines = fc.constantFrom(
  'data: a',
  'data:b',
  'data',
  'data:  c: d',
  'id: 7',
  'id:8',
  'id',
  'event: call.created',
  'retry: 250',
  'retry: soon',
  ': heartbeat',
  'unknown: x',
  '',
  '',
);
const ends = fc.constantFrom('\n', '\r\n', '\r');
const streams = fc
  .array(fc.tuple(lines, ends), { maxLength: 40 })
  .map((parts) => parts.map(([line, end]) => line + end).join(''));

test('the events of any stream, in any chunks, are those of the package eventsource-parser', () => {
  fc.assert(
    fc.property(streams, fc.array(fc.nat({ max: 12 })), (stream, sizes) => {
      const expected: string[] = [];
      const parser = createParser({ onEvent: ({ data }) => expected.push(data) });
      // A final line end completes the last event, also if the stream ends with a carriage return.
      const complete = `${stream}\n\n`;
      parser.feed(complete);
      const actual: string[] = [];
      const own = new EventParser();
      let rest = complete;
      for (const size of [...sizes, rest.length]) {
        for (const { data } of own.push(rest.slice(0, size))) if (data !== null) actual.push(data);
        rest = rest.slice(size);
      }
      expect(actual).toEqual(expected);
    }),
    { numRuns: 2_000 },
  );
});

test('an id without data moves the position, and an incomplete event does not', () => {
  const parser = new EventParser();
  expect(parser.push(': hangup\nid: 41\n\n')).toEqual([{ id: '41', data: null }]);
  expect(parser.push('id: 42\ndata: {"a":')).toEqual([]);
  expect(parser.push('1}\n')).toEqual([]);
  expect(parser.push('\nid: 43\n')).toEqual([{ id: '42', data: '{"a":1}' }]);
  expect(parser.push(': heartbeat\n\nretry: 5\n\n')).toEqual([{ id: '43', data: null }]);
  expect(parser.retryMs).toBe(5);
});

test('a message without an end is refused', () => {
  const parser = new EventParser();
  const chunk = `${'x'.repeat(100_000)}\n`;
  expect(() => {
    for (let count = 0; count < 20; count += 1) parser.push(`data: ${chunk}`);
  }).toThrow(RangeError);
  expect(() => new EventParser().push('x'.repeat(2 * 1024 * 1024))).toThrow(RangeError);
});
