import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fingerprintOf } from '../../src/operations/idempotency.ts';

const json = fc.jsonValue({ maxDepth: 3, noUnicodeString: false });
/** An input of a procedure. Metadata may have every name, `__proto__` included. */
const inputs = fc.dictionary(fc.string(), json);

/** Returns a copy with the names of each object in the reverse order, but for whole numbers, which come first. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([name, member]) => [name, reversed(member)]),
  );
}

const ofMetadata = (metadata: unknown) => fingerprintOf('calls.create', { metadata });

describe('a fingerprint', () => {
  test('has 64 characters, also of 10,000 ids', () => {
    const callIds = Array.from({ length: 10_000 }, (_, i) => String(i).padStart(128, 'x'));
    expect(fingerprintOf('cancellations.create', { callIds })).toMatch(/^[0-9a-f]{64}$/);
  });

  test('is the same in every version, because a client may repeat a request after an upgrade', () => {
    expect(fingerprintOf('calls.create', { agentId: 'é', metadata: { b: [1.5, null], a: '"' } })).toBe(
      'd9474437ffbdcc84ba71c7c1ed0868748c609dbff80428666e69f4baa5159e1f',
    );
  });

  test('does not depend on the order of names', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        expect(ofMetadata(reversed(input))).toBe(ofMetadata(input));
      }),
    );
  });

  test('differs between two different values', () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        const isSame = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
        expect(ofMetadata([a]) === ofMetadata([b])).toBe(isSame);
      }),
    );
    const distinct = [
      {},
      [],
      '',
      0,
      '0',
      [0],
      { 0: 0 },
      { a: null },
      [[]],
      [{}],
      '{}',
      'null',
      '[null]',
      true,
    ];
    expect(new Set(distinct.map(ofMetadata)).size).toBe(distinct.length);
  });

  test('depends on the order of a list', () => {
    expect(ofMetadata(['a', 'b'])).not.toBe(ofMetadata(['b', 'a']));
  });

  test('differs between two procedures', () => {
    expect(fingerprintOf('calls.create', {})).not.toBe(fingerprintOf('calls.cancel', {}));
  });

  test('is the same for an input that is null and an input that is absent', () => {
    expect(fingerprintOf('calls.create', { agentId: null, jobId: undefined })).toBe(
      fingerprintOf('calls.create', {}),
    );
    expect(ofMetadata({ a: null })).not.toBe(ofMetadata({}));
  });
});

/** Returns a copy with the names of each object in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const names = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(names.map(([name, member]) => [name, sorted(member)]));
}
