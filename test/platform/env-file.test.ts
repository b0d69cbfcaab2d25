import { parseEnv } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseEnvFile } from '../../src/platform/env-file.ts';
import { nearestSetting } from '../../src/platform/setting-names.ts';

const SETTINGS = ['LIVEKIT_URL', 'LIVEKIT_API_KEY', 'DATABASE_URL', 'HOST', 'PORT'];
const read = (text: string | Uint8Array) =>
  parseEnvFile(typeof text === 'string' ? Buffer.from(text) : text, (name) => SETTINGS.includes(name));

const bytesOf = (text: string, encoding: 'utf16le' | 'utf8') => Buffer.from(`\ufeff${text}`, encoding);

test.each([
  ['a byte order mark', bytesOf('HOST=a\nPORT=1\n', 'utf8')],
  ['UTF-16, little-endian', bytesOf('HOST=a\nPORT=1\n', 'utf16le')],
  ['UTF-16, big-endian', bytesOf('HOST=a\nPORT=1\n', 'utf16le').swap16()],
  ['Windows line ends', 'HOST=a\r\nPORT=1\r\n'],
  ['old Mac line ends', 'HOST=a\rPORT=1'],
  ['`export`', 'export HOST=a\n  export   PORT = 1'],
  ['quotes', `HOST="a" # where\nPORT='1'`],
  ['comments', '# HOST=b\nHOST=a # where\n\n  # PORT\nPORT=1'],
])('a file with %s is read completely', (_, text) => {
  expect(read(text)).toMatchObject({ values: { HOST: 'a', PORT: '1' }, warnings: [], problems: [] });
});

test('an empty value does not absorb the next line', () => {
  expect(read('LIVEKIT_URL= \nHOST=\nPORT=1')?.values).toEqual({ LIVEKIT_URL: '', HOST: '', PORT: '1' });
});

test('a file that is not text returns null', () => {
  expect(read(new Uint8Array([0x48, 0xff, 0x3d]))).toBeNull();
  expect(read(Buffer.from('HOST=a', 'utf16le'))).toBeNull();
});

test('invalid lines and repeated names are warnings with the line number', () => {
  expect(read('HOST: a\nPORT=1\n\nexport HOST\n"HOST"=b\nPORT=2')).toEqual({
    values: { PORT: '2' },
    lines: new Map([['PORT', 6]]),
    warnings: [
      '.env line 1: expected NAME=value; the line has no effect',
      '.env line 4: expected NAME=value; the line has no effect',
      '.env line 5: expected NAME=value; the line has no effect',
      '.env line 6: PORT occurs twice; line 2 has no effect',
    ],
    problems: [],
  });
});

test.each([
  ['LIVEKIT_API_KEY="hunter2', 'expected a closing quote on the same line'],
  ['LIVEKIT_API_KEY="hunter2" x', 'expected nothing after the closing quote'],
  ['LIVEKIT_API_KEY=hunter#2', 'expected quotes around a value that contains #'],
  ['LIVEKIT_API_KEY=\u0024{hunter2}', 'expected a literal value, because variables are not expanded'],
  ['LIVEKIT_API_KEY="$(cat hunter2)"', 'expected a literal value, because variables are not expanded'],
])('the problem of %s names the line and hides the value', (line, expected) => {
  const problems = read(`HOST=a\n${line}\nPORT=1`)?.problems ?? [];
  expect(problems).toEqual([expect.stringContaining(`LIVEKIT_API_KEY: ${expected}`)]);
  expect(problems[0]).toMatch(/\(\.env line 2\)$/);
  expect(problems.join()).not.toContain('hunter2');
});

test("other programs' values may have any syntax and do not hide hangup's settings", () => {
  const text = 'KEY="-----BEGIN\nHOST=b\n-----END"\nOTHER="open\nCOLOR=#fff\nHOST=a';
  expect(read(text)).toMatchObject({ values: { HOST: 'a' }, warnings: [], problems: [] });
});

test("an open quote in another program's value does not hide hangup's settings", () => {
  const text = 'NOTE="5 inch\nHOST=a\nSECRET="abc"\nPORT=1';
  expect(read(text)).toMatchObject({ values: { HOST: 'a', PORT: '1', SECRET: 'abc' } });
});

test('the parser and Node.js agree on plain files', () => {
  const name = fc.constantFrom('HOST', 'PORT', 'OTHER', 'A1');
  const plain = fc.stringMatching(/^[\w.:/@=-]{1,12}$/);
  const value = fc.oneof(
    plain,
    plain.map((text) => `"${text} x"`),
    plain.map((text) => `'${text} # x'`),
    plain.map((text) => `  ${text}  # comment`),
  );
  const line = fc.oneof(
    fc.tuple(name, value).map(([n, v]) => `${n}=${v}`),
    fc.tuple(name, value).map(([n, v]) => `export ${n} = ${v}`),
    fc.constantFrom('', '# a comment', '   '),
  );
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = lines.join('\n');
      expect(read(text)?.values).toEqual({ ...parseEnv(text) });
    }),
  );
});

test('nearestSetting returns a setting for a typing error and null for another word', () => {
  const of = (name: string) => nearestSetting(name, SETTINGS);
  expect(of('LIVEKIT_API_KEYS')).toBe('LIVEKIT_API_KEY');
  expect(of('DATABSE_URL')).toBe('DATABASE_URL');
  expect(of('database_uri')).toBe('DATABASE_URL');
  expect(of('PROT')).toBeNull();
  expect(of('PORTS')).toBe('PORT');
  expect(of('LIVEKIT_CONFIG')).toBeNull();
  expect(of('PATH')).toBeNull();
});
