import { expect, test } from 'vitest';
import { describeSettings, parseSettings, SettingsError } from '../../src/platform/config.ts';
import { describeDatabase } from '../../src/platform/database-address.ts';
import { RENAMED_SETTINGS } from '../../src/platform/renamed-settings.ts';

const LIVEKIT = {
  LIVEKIT_URL: 'wss://livekit.example.com',
  LIVEKIT_API_KEY: 'devkey',
  LIVEKIT_API_SECRET: 'very-secret',
};

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    parseSettings(environment, 'server');
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

test('the defaults are the emulator, a file under data/, and 127.0.0.1:8080', () => {
  expect(parseSettings({}, 'server')).toMatchObject({
    livekit: null,
    database: { kind: 'sqlite', file: 'data/hangup.db' },
    host: '127.0.0.1',
    port: 8080,
    operations: {
      cancelTimeoutMs: 2_500,
      backgroundTimeoutMs: 10_000,
      retry: { initialDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 },
    },
  });
});

test("LIVEKIT_URL accepts every form that LiveKit's own tools accept", () => {
  const urlOf = (LIVEKIT_URL: string) => parseSettings({ ...LIVEKIT, LIVEKIT_URL }, 'server').livekit?.url;
  expect(urlOf('ws://127.0.0.1:7880')).toBe('http://127.0.0.1:7880');
  expect(urlOf('wss://livekit.example.com/')).toBe('https://livekit.example.com');
  expect(urlOf('http://127.0.0.1:7880')).toBe('http://127.0.0.1:7880');
  expect(urlOf('WSS://LiveKit.example.com')).toBe('https://livekit.example.com');
});

test('TRUSTED_PROXIES accepts addresses and ranges', () => {
  const trusted = (TRUSTED_PROXIES: string) => parseSettings({ TRUSTED_PROXIES }, 'server').trustedProxies;
  expect(trusted('')).toEqual([]);
  expect(trusted('127.0.0.1, 10.0.0.0/8,2001:db8::/32,::1')).toEqual([
    '127.0.0.1',
    '10.0.0.0/8',
    '2001:db8::/32',
    '::1',
  ]);
  for (const TRUSTED_PROXIES of ['proxy', '10.0.0.0/33', '10.0.0/8', '127.0.0.1,', '127.0.0.1 10.0.0.1', '*'])
    expect(problemsOf({ TRUSTED_PROXIES }), TRUSTED_PROXIES).toEqual([
      'TRUSTED_PROXIES: expected IP addresses or CIDR ranges, separated by commas, such as 127.0.0.1,10.0.0.0/8',
    ]);
});

test('CORS_ORIGINS accepts exact origins, or * alone', () => {
  const origins = (CORS_ORIGINS: string) => parseSettings({ CORS_ORIGINS }, 'server').corsOrigins;
  expect(origins('')).toEqual([]);
  expect(origins('*')).toEqual(['*']);
  expect(
    origins('https://app.example.com, http://localhost:3000,http://[::1]:5173,capacitor://localhost'),
  ).toEqual([
    'https://app.example.com',
    'http://localhost:3000',
    'http://[::1]:5173',
    'capacitor://localhost',
  ]);
});

test.each([
  ['https://app.example.com/'],
  ['https://app.example.com/console'],
  ['https://app.example.com?x'],
  ['https://App.example.com'],
  ['https://app.example.com:443'],
  ['https://*.example.com'],
  ['https://bücher.example'],
  ['app.example.com'],
  ['localhost:3000'],
  ['//app.example.com'],
  ['https://'],
  ['null'],
  ['*', '*,https://app.example.com'],
  ['', 'https://app.example.com,'],
  ['https://a.example https://b.example'],
])('CORS_ORIGINS with %j is a problem that contains the value', (found, CORS_ORIGINS = found) => {
  expect(problemsOf({ CORS_ORIGINS })).toEqual([
    `CORS_ORIGINS: expected origins as browsers send them, without user and password, separated by commas, such as https://app.example.com, or only *; found ${JSON.stringify(found)}`,
  ]);
});

test('the problem of an origin in CORS_ORIGINS contains no password', () => {
  const problems = problemsOf({ CORS_ORIGINS: 'https://user:hunter2@app.example.com' });
  expect(problems).toEqual([expect.stringContaining('found "https://app.example.com"')]);
});

test('an empty setting counts as unset', () => {
  expect(parseSettings({ LIVEKIT_URL: '', PORT: '' }, 'server')).toMatchObject({ livekit: null, port: 8080 });
});

test('DATABASE_URL accepts relative and absolute file URLs', () => {
  const addressOf = (DATABASE_URL: string) => parseSettings({ DATABASE_URL }, 'server').database;
  const file = (path: string) => ({ kind: 'sqlite', file: path });
  expect(addressOf('file:///var/lib/hangup/a%20b.db')).toEqual(file('/var/lib/hangup/a b.db'));
  expect(addressOf('file:/var/lib/hangup.db')).toEqual(file('/var/lib/hangup.db'));
  expect(addressOf('file:./here.db')).toEqual(file('./here.db'));
  // After two slashes, a URL has a host.
  for (const DATABASE_URL of ['file://data/hangup.db', 'file::memory:', 'file:///a%2Fb', 'file:///a%b'])
    expect(problemsOf({ DATABASE_URL }), DATABASE_URL).toHaveLength(1);
});

test.each([
  ['postgres://hangup:hunter2@db.example.com:5432/hangup', 'postgres://db.example.com:5432/hangup'],
  ['postgresql://db.example.com/hangup?sslmode=verify-full', 'postgres://db.example.com/hangup'],
  ['postgres://hangup:p@ss@db.example.com/hangup', 'postgres://db.example.com/hangup'],
  [
    'postgres://hangup:p%40ss:word@db1,[fd00::1]:5433/calls?pool_size=4',
    'postgres://db1,[fd00::1]:5433/calls',
  ],
  ['postgres://hangup:hunter2@/hangup?host=/var/run/postgresql', 'postgres:///var/run/postgresql/hangup'],
])('DATABASE_URL accepts %s, which logs and messages show without the password', (DATABASE_URL, name) => {
  const { database } = parseSettings({ DATABASE_URL }, 'server');
  expect(database).toEqual({ kind: 'postgres', url: DATABASE_URL });
  expect(describeDatabase(database)).toBe(name);
});

test.each([
  'postgres://db.example.com',
  'postgres:hangup',
  'postgres://hangup:hunter2@db.example.com/hangup ',
  'postgres://hangup:hunter 2@db.example.com/hangup',
  'postgres://hangup:pa/ss@db.example.com/hangup',
  'Postgres://hangup:hunter2@db.example.com/hangup',
  '"postgres://hangup:hunter2@db.example.com/hangup"',
])('DATABASE_URL refuses %s and does not print it', (DATABASE_URL) => {
  const [problem = '', ...others] = problemsOf({ DATABASE_URL });
  expect(problem).toMatch(/^DATABASE_URL: expected .*postgres:\/\/USER:PASSWORD@HOST:5432\/DATABASE/);
  expect(others).toEqual([]);
  expect(problem).not.toMatch(/hunter|example|ss@/);
});

test('the error lists all problems with names and expectations, and contains no values', () => {
  const problems = problemsOf({
    LIVEKIT_URL: 'ftp://user:hunter2@example.com',
    LIVEKIT_API_SECRET: 'very-secret',
    DATABASE_URL: 'mysql://root:hunter2@example.com/hangup',
    PORT: '80800',
    LOG_LEVEL: 'loud',
    LIVEKIT_CANCEL_TIMEOUT_MS: '1e3',
    RETRY_INITIAL_DELAY_MS: '5000',
    RETRY_MAX_DELAY_MS: '1000',
  });
  expect(problems).toEqual([
    'LIVEKIT_URL: expected a URL such as wss://livekit.example.com (ws, wss, http or https, without a path)',
    'DATABASE_URL: expected file:PATH, such as file:data/hangup.db or file:///var/lib/hangup/hangup.db; or postgres://USER:PASSWORD@HOST:5432/DATABASE',
    'PORT: expected an integer from 0 to 65535',
    'LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent',
    'LIVEKIT_CANCEL_TIMEOUT_MS: expected an integer from 100 to 4000',
    "LIVEKIT_API_KEY: required with LIVEKIT_URL; take it from your LiveKit server's configuration",
    'RETRY_MAX_DELAY_MS: expected at least RETRY_INITIAL_DELAY_MS',
  ]);
  expect(problems.join()).not.toMatch(/hunter2|very-secret|80800/);
});

test('LIVEKIT_API_KEY requires LIVEKIT_URL', () => {
  expect(problemsOf({ LIVEKIT_API_KEY: 'devkey' })).toEqual([
    'LIVEKIT_URL: required with LIVEKIT_API_KEY; set it to the server of that key',
  ]);
});

test('only development and test start the emulator; commands work without LIVEKIT_URL', () => {
  for (const NODE_ENV of ['', 'development', 'test']) expect(problemsOf({ NODE_ENV })).toEqual([]);
  for (const NODE_ENV of ['production', 'prod', 'Production', 'staging']) {
    expect(problemsOf({ NODE_ENV })).toEqual([
      'LIVEKIT_URL: required unless NODE_ENV is development or test, because only these start the built-in emulator',
    ]);
    expect(problemsOf({ NODE_ENV, ...LIVEKIT })).toEqual([]);
  }
  expect(parseSettings({ NODE_ENV: 'production' }, 'cli').livekit).toBeNull();
});

test.each(['LIVEKIT_API_KEY', 'LIVEKIT_API_SECRET', 'HANGUP_API_KEY'])(
  '%s with white space or quotes is a problem that names the setting and hides the value',
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

test('other settings with an invalid form are problems that name the setting', () => {
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
    // Five fields mean minutes, which is 60 times as long.
    ['RECONCILE_SCHEDULE', '*/15 * * * *'],
    ['PORT', '8080\n'],
    ['HOST', '127.0.0.1 '],
  ] as const) {
    const problems = problemsOf({ ...LIVEKIT, [name]: given });
    expect(problems, `${name}=${given}`).toEqual([expect.stringMatching(`^${name}: expected `)]);
  }
});

test('the scheme of LIVEKIT_URL selects the proxy; lower-case names have priority; localhost has none', () => {
  const proxyOf = (environment: Record<string, string>) =>
    parseSettings({ ...LIVEKIT, ...environment }, 'server').livekit?.proxy;
  const HTTPS_PROXY = 'http://proxy.example.com:3128';
  expect(proxyOf({})).toBeNull();
  expect(proxyOf({ HTTPS_PROXY })).toEqual({ url: `${HTTPS_PROXY}/`, noProxy: '' });
  expect(proxyOf({ HTTPS_PROXY: 'proxy.example.com:3128' })?.url).toBe(`${HTTPS_PROXY}/`);
  expect(proxyOf({ HTTPS_PROXY: 'http://no.example.com', https_proxy: HTTPS_PROXY })?.url).toBe(
    `${HTTPS_PROXY}/`,
  );
  expect(proxyOf({ HTTP_PROXY: HTTPS_PROXY })).toBeNull();
  expect(proxyOf({ HTTP_PROXY: HTTPS_PROXY, LIVEKIT_URL: 'ws://livekit:7880' })?.url).toBe(`${HTTPS_PROXY}/`);
  for (const LIVEKIT_URL of ['wss://127.0.0.1', 'wss://localhost:7880', 'wss://[::1]:7880'])
    expect(proxyOf({ HTTPS_PROXY, LIVEKIT_URL })).toBeNull();
  // As in curl and Go, a host includes its subdomains.
  expect(proxyOf({ HTTPS_PROXY, NO_PROXY: 'a.test, .b.test' })?.noProxy).toBe('a.test,.a.test,.b.test');
  for (const wrong of ['socks5://proxy:1080', 'http://', 'http://pro xy'])
    expect(problemsOf({ ...LIVEKIT, HTTPS_PROXY: wrong }), wrong).toEqual([
      expect.stringMatching(/^HTTPS_PROXY, HTTP_PROXY: expected a URL such as/),
    ]);
});

const RENAMED = [...RENAMED_SETTINGS];

test.each(RENAMED)('%s is accepted as the old name of %s', (oldName, newName) => {
  const value = newName === 'RECONCILE_SCHEDULE' ? '*/20 * * * * *' : '1500';
  const renamed = parseSettings({ [newName]: value }, 'server');
  expect(renamed).not.toEqual(parseSettings({}, 'server'));
  expect(parseSettings({ [oldName]: value }, 'server')).toEqual(renamed);
  expect(parseSettings({ [oldName]: value, [newName]: '' }, 'server')).toEqual(renamed);
  expect(parseSettings({ [oldName]: '', [newName]: value }, 'server')).toEqual(renamed);
  expect(parseSettings({ [oldName]: value, [newName]: value }, 'server')).toEqual(renamed);
});

test.each(RENAMED)('different values of %s and %s are a problem that names both', (oldName, newName) => {
  const [value, other] =
    newName === 'RECONCILE_SCHEDULE' ? ['*/20 * * * * *', '*/30 * * * * *'] : ['1500', '1600'];
  expect(problemsOf({ [oldName]: value, [newName]: other })).toEqual([
    `${newName} conflicts with its old name ${oldName}; remove ${oldName}`,
  ]);
});

test('the problem of an invalid value has the name that the environment has', () => {
  expect(problemsOf({ KEEP_AUDIT_DAYS: 'week' })).toEqual([
    'KEEP_AUDIT_DAYS: expected an integer from 0 to 36500',
  ]);
});

test('the range of each integer setting is the range that hangup accepts', () => {
  const integers = describeSettings().filter(({ default: value }) => /^\d+$/.test(value));
  expect(integers.length).toBeGreaterThan(20);
  for (const { name, range } of integers) {
    const [min = Number.NaN, max = Number.NaN] = range.split(' to ').map(Number);
    const isAccepted = (value: number) =>
      !problemsOf({ [name]: String(value) }).some((problem) => problem.startsWith(`${name}: expected an`));
    expect([min - 1, min, max, max + 1].map(isAccepted), `${name}: ${range}`).toEqual([
      false,
      true,
      true,
      false,
    ]);
  }
});

test('every renamed setting has a new name that exists and an old name that does not', () => {
  const names = describeSettings().map(({ name }) => name);
  for (const [oldName, newName] of RENAMED) {
    expect(names).toContain(newName);
    expect(names).not.toContain(oldName);
  }
});
