import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { describeSettings, parseSettings, SettingsError } from '../../src/platform/config.ts';

const LIVEKIT = {
  LIVEKIT_URL: 'wss://livekit.example.com',
  LIVEKIT_API_KEY: 'devkey',
  LIVEKIT_API_SECRET: 'very-secret',
};

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    parseSettings(environment, 'serve');
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

test('the defaults are the emulator, a file under data/, and 127.0.0.1:8080', () => {
  expect(parseSettings({}, 'serve')).toMatchObject({
    livekit: null,
    databaseFile: 'data/hangup.db',
    host: '127.0.0.1',
    port: 8080,
    cancelTimeoutMs: 2_500,
    backgroundTimeoutMs: 10_000,
    retry: { firstDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 },
  });
});

test("LIVEKIT_URL accepts every form that LiveKit's own tools accept", () => {
  const urlOf = (LIVEKIT_URL: string) => parseSettings({ ...LIVEKIT, LIVEKIT_URL }, 'serve').livekit?.url;
  expect(urlOf('ws://127.0.0.1:7880')).toBe('http://127.0.0.1:7880');
  expect(urlOf('wss://livekit.example.com/')).toBe('https://livekit.example.com');
  expect(urlOf('http://127.0.0.1:7880')).toBe('http://127.0.0.1:7880');
  expect(urlOf('WSS://LiveKit.example.com')).toBe('https://livekit.example.com');
});

test('TRUSTED_PROXIES accepts addresses and ranges', () => {
  const trusted = (TRUSTED_PROXIES: string) => parseSettings({ TRUSTED_PROXIES }, 'serve').trustedProxies;
  expect(trusted('')).toEqual([]);
  expect(trusted('127.0.0.1, 10.0.0.0/8,2001:db8::/32,::1')).toEqual([
    '127.0.0.1',
    '10.0.0.0/8',
    '2001:db8::/32',
    '::1',
  ]);
  for (const TRUSTED_PROXIES of ['proxy', '10.0.0.0/33', '10.0.0/8', '127.0.0.1,', '127.0.0.1 10.0.0.1', '*'])
    expect(problemsOf({ TRUSTED_PROXIES }), TRUSTED_PROXIES).toEqual([
      'TRUSTED_PROXIES: expected addresses or CIDR ranges with commas between, such as 127.0.0.1,10.0.0.0/8',
    ]);
});

test('an empty setting counts as unset', () => {
  expect(parseSettings({ LIVEKIT_URL: '', PORT: '' }, 'serve')).toMatchObject({ livekit: null, port: 8080 });
});

test('DATABASE_URL with three slashes is an absolute path', () => {
  const fileOf = (DATABASE_URL: string) => parseSettings({ DATABASE_URL }, 'serve').databaseFile;
  expect(fileOf('file:///var/lib/hangup/a%20b.db')).toBe('/var/lib/hangup/a b.db');
  expect(fileOf('file:/var/lib/hangup.db')).toBe('/var/lib/hangup.db');
  expect(fileOf('file:./here.db')).toBe('./here.db');
  // With two it would be that of a host.
  for (const DATABASE_URL of ['file://data/hangup.db', 'file::memory:', 'file:///a%2Fb', 'file:///a%b'])
    expect(problemsOf({ DATABASE_URL }), DATABASE_URL).toHaveLength(1);
});

test('one error lists every wrong setting with its name and the expected form, and repeats no value', () => {
  const problems = problemsOf({
    LIVEKIT_URL: 'ftp://user:hunter2@example.com',
    LIVEKIT_API_SECRET: 'very-secret',
    DATABASE_URL: 'postgres://example.com/hangup',
    PORT: '80800',
    LOG_LEVEL: 'loud',
    LIVEKIT_REQUEST_TIMEOUT_MS: '1e3',
    RETRY_FIRST_DELAY_MS: '5000',
    RETRY_MAX_DELAY_MS: '1000',
  });
  expect(problems).toEqual([
    'LIVEKIT_URL: expected a URL such as wss://livekit.example.com (ws, wss, http or https, without a path)',
    'DATABASE_URL: expected file:PATH, such as file:data/hangup.db or file:///var/lib/hangup/hangup.db',
    'PORT: expected a whole number from 0 to 65535',
    'LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent',
    'LIVEKIT_REQUEST_TIMEOUT_MS: expected a whole number from 100 to 4000',
    'LIVEKIT_API_KEY: expected with LIVEKIT_URL: a key of your LiveKit server',
    'RETRY_MAX_DELAY_MS: expected at least RETRY_FIRST_DELAY_MS',
  ]);
  expect(problems.join()).not.toMatch(/hunter2|very-secret|80800/);
});

test('LIVEKIT_API_KEY without LIVEKIT_URL is refused', () => {
  expect(problemsOf({ LIVEKIT_API_KEY: 'devkey' })).toEqual([
    'LIVEKIT_URL: expected with LIVEKIT_API_KEY: the server that the key is for',
  ]);
});

test('the emulator is refused in production for serve, but not for commands', () => {
  for (const NODE_ENV of ['', 'development', 'test']) expect(problemsOf({ NODE_ENV })).toEqual([]);
  for (const NODE_ENV of ['production', 'prod', 'Production', 'staging']) {
    expect(problemsOf({ NODE_ENV })).toEqual([
      'LIVEKIT_URL: expected unless NODE_ENV is development or test: elsewhere hangup does not run on its built-in emulator',
    ]);
    expect(problemsOf({ NODE_ENV, ...LIVEKIT })).toEqual([]);
  }
  expect(parseSettings({ NODE_ENV: 'production' }, 'administer').databaseFile).toBe('data/hangup.db');
});

test.each(['LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET', 'HANGUP_API_KEY'])(
  '%s with white space or quotes around its value is refused without repeating the value',
  (name) => {
    const value = 'hunter2hunter2';
    for (const given of [
      `${value}\n`,
      `${value}\r`,
      ` ${value}`,
      `${value}\t`,
      `hunter2 hunter2`,
      `${value}\u00a0`,
      `\u200b${value}`,
      `"${value}"`,
      `'${value}'`,
      `\`${value}\``,
      `“${value}”`,
      `${value}"`,
    ]) {
      const problems = problemsOf({ ...LIVEKIT, [name]: given });
      expect(problems, JSON.stringify(given)).toEqual([expect.stringMatching(`^${name}: expected `)]);
      expect(problems.join()).not.toContain('hunter2');
    }
    for (const given of [value, 'a"b', "a'b=/+", '{a}#b$c'])
      expect(problemsOf({ ...LIVEKIT, [name]: given }), given).toEqual([]);
  },
);

test('implausible values of other settings are refused', () => {
  for (const [name, given] of [
    ['LIVEKIT_URL', 'wss://livekit.example.com\n'],
    ['LIVEKIT_URL', ' wss://livekit.example.com'],
    ['LIVEKIT_URL', 'wss://live\nkit.example.com'],
    ['LIVEKIT_URL', '"wss://livekit.example.com"'],
    ['DATABASE_URL', 'file:data/hangup.db '],
    ['DATABASE_URL', 'file:data/hangup.db"'],
    ['DATABASE_URL', 'file:data/hangup.db\n'],
    ['LIVEKIT_WEBHOOK_KEYS', '"key:secret"'],
    ['LIVEKIT_WEBHOOK_KEYS', "key:'secret',other:secret"],
    ['NODE_ENV', '"production"'],
    // By minutes, and so 60 times as long as it looks.
    ['COMPARE_SCHEDULE', '*/15 * * * *'],
    ['PORT', '8080\n'],
    ['HOST', '127.0.0.1 '],
  ] as const) {
    const problems = problemsOf({ ...LIVEKIT, [name]: given });
    expect(problems, `${name}=${given}`).toEqual([expect.stringMatching(`^${name}: expected `)]);
  }
});

test('the proxy is chosen by the scheme of LIVEKIT_URL, lower case first, and never for this machine', () => {
  const proxyOf = (environment: Record<string, string>) =>
    parseSettings({ ...LIVEKIT, ...environment }, 'serve').livekit?.proxy;
  const HTTPS_PROXY = 'http://proxy.example.com:3128';
  expect(proxyOf({})).toBeNull();
  expect(proxyOf({ HTTPS_PROXY })).toEqual({ url: `${HTTPS_PROXY}/`, except: '' });
  expect(proxyOf({ HTTPS_PROXY: 'proxy.example.com:3128' })?.url).toBe(`${HTTPS_PROXY}/`);
  expect(proxyOf({ HTTPS_PROXY: 'http://no.example.com', https_proxy: HTTPS_PROXY })?.url).toBe(
    `${HTTPS_PROXY}/`,
  );
  expect(proxyOf({ HTTP_PROXY: HTTPS_PROXY })).toBeNull();
  expect(proxyOf({ HTTP_PROXY: HTTPS_PROXY, LIVEKIT_URL: 'ws://livekit:7880' })?.url).toBe(`${HTTPS_PROXY}/`);
  for (const LIVEKIT_URL of ['wss://127.0.0.1', 'wss://localhost:7880', 'wss://[::1]:7880'])
    expect(proxyOf({ HTTPS_PROXY, LIVEKIT_URL })).toBeNull();
  // As for curl and Go, a host stands for its subdomains too.
  expect(proxyOf({ HTTPS_PROXY, NO_PROXY: 'a.test, .b.test' })?.except).toBe('a.test,.a.test,.b.test');
  for (const wrong of ['socks5://proxy:1080', 'http://', 'http://pro xy'])
    expect(problemsOf({ ...LIVEKIT, HTTPS_PROXY: wrong }), wrong).toEqual([
      expect.stringMatching(/^HTTPS_PROXY, HTTP_PROXY: expected a URL such as/),
    ]);
});

test("the README's table of settings is the one of config.ts", () => {
  const readme = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8');
  const rows = [...readme.matchAll(/^\| `([A-Z_]+)` *\| (.*?) *\| (.*?) *\|$/gm)];
  expect(
    rows.map(([, name, byDefault, meaning]) => ({
      name,
      byDefault: byDefault?.replaceAll('`', ''),
      meaning,
    })),
  ).toEqual(describeSettings());
});
