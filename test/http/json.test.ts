import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findJsonProblems } from '../../src/http/json.ts';

const problemsOf = (text: string) => [...findJsonProblems(text)].map(({ path }) => path.join('.'));

test('the JSON check accepts everything that JSON.stringify writes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), (value) => {
      expect(problemsOf(JSON.stringify(value))).toEqual([]);
      expect(problemsOf(JSON.stringify(value, null, 2))).toEqual([]);
    }),
  );
});

test('the JSON check accepts a text exactly when JSON.parse loses nothing of it', () => {
  const digits = fc.stringMatching(/^(0|[1-9]\d{0,22})$/);
  const number = fc
    .tuple(
      fc.constantFrom('', '-'),
      digits,
      fc.stringMatching(/^(\.\d{1,22})?$/),
      fc.integer({ min: -340, max: 340 }),
    )
    .map(([sign, whole, fraction, exponent]) => ({
      source: `${sign}${whole}${fraction}e${exponent}`,
      exponent,
    }));
  fc.assert(
    fc.property(number, ({ source }) => {
      const value: number = JSON.parse(source);
      const back = Number.isFinite(value) ? rational(JSON.stringify(value)) : null;
      const isKept = back !== null && back === rational(source) && !Object.is(value, -0);
      expect(problemsOf(source)).toEqual(isKept ? [] : ['']);
    }),
    { numRuns: 2_000 },
  );
});

/** Returns a decimal as an exact multiple of 1e-400, by another calculation than the tested code. */
function rational(source: string): bigint {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(source) ?? [];
  const value = BigInt(whole + fraction) * 10n ** BigInt(400 + Number(exponent) - fraction.length);
  return sign === '-' ? -value : value;
}

describe('the JSON check reports the path of a problem', () => {
  test.each([
    ['{"a":[0,{"b":1e999}]}', ['a.1.b']],
    ['[[],[1,-0]]', ['1.1']],
    ['{"a":{"b":1,"b":2},"b":3}', ['a']],
    ['{"a":1,"\\u0061":2}', ['']],
    ['{"a":"]}\\"","b":"\\ud800"}', ['b']],
    ['{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":2}]}', []],
    ['{"a":"9007199254740993"}', []],
    ['"\\ud83d\\ude00"', []],
  ])('in %s', (text, paths) => {
    expect(problemsOf(text)).toEqual(paths);
  });
});

test('the JSON check takes linear time on a large hostile text', () => {
  const long = 'x'.repeat(300_000);
  for (const text of [
    `{"a":0.1${'0'.repeat(500_000)}1}`,
    `{"a":1e-${'9'.repeat(500_000)}}`,
    `{"a":"${'\\\\'.repeat(250_000)}"}`,
    `${'['.repeat(250_000)}${']'.repeat(250_000)}`,
    `{${Array.from({ length: 50_000 }, (_, index) => `"${index}":1`).join(',')}}`,
    `{"${long}":1,"${long}":2}`,
  ]) {
    expect(problemsOf(text).length).toBeLessThan(2);
  }
});
