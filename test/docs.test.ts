import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { blocksOf, LEFT_OUT, readPages } from '../scripts/docs/blocks.ts';
import { CancelledCall } from '../src/api/calls/cancel.ts';
import { SCOPES } from '../src/domain/api-key.ts';
import { REFUSAL_REASONS } from '../src/domain/webhook-refusal.ts';
import { describeSettings } from '../src/platform/config.ts';
import { compileClient } from './harness/compile.ts';
import { readAnswer } from './harness/event-stream.ts';
import { startHangup } from './harness/hangup.ts';
import { startMcp } from './harness/mcp.ts';
import { runHangup } from './harness/process.ts';
import { temporaryFolder } from './harness/temporary.ts';

const ROOT = resolve(import.meta.dirname, '..');
const PAGES = readPages();
const BLOCKS = PAGES.flatMap(({ page, text }) => blocksOf(page, text));
const blocksIn = (language: string) => BLOCKS.filter((block) => block.language === language);

/** Returns the anchors of a page's headings as GitHub generates them. */
function anchorsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
}

test('every link between pages leads to an existing file and heading', () => {
  const links = PAGES.flatMap(({ page, text }) =>
    [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)].map(([, target = '', anchor]) => ({
      page,
      file: target === '' ? join(ROOT, page) : join(ROOT, dirname(page), target),
      anchor,
    })),
  );
  expect(PAGES.length).toBeGreaterThan(8);
  expect(links.filter(({ anchor }) => anchor !== undefined).length).toBeGreaterThan(5);
  const dead = links.filter(
    ({ file, anchor }) => !existsSync(file) || (anchor !== undefined && !anchorsOf(file).includes(anchor)),
  );
  expect(dead).toEqual([]);
});

test('no page of docs has the same heading twice', () => {
  const pages = PAGES.filter(({ page }) => page !== 'CHANGELOG.md');
  const repeated = pages.flatMap(({ page }) =>
    Object.entries(Object.groupBy(anchorsOf(join(ROOT, page)), (anchor) => anchor))
      .filter(([, anchors]) => (anchors?.length ?? 0) > 1)
      .map(([anchor]) => `${page}#${anchor}`),
  );
  expect(repeated).toEqual([]);
});

test('every test file in a page exists', () => {
  const named = PAGES.flatMap(({ page, text }) =>
    [...text.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path = '']) => ({ page, path })),
  );
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter(({ path }) => !existsSync(join(ROOT, path)))).toEqual([]);
});

test('README.md has 120 to 150 lines', () => {
  const lines = readFileSync(join(ROOT, 'README.md'), 'utf8').trimEnd().split('\n').length;
  expect(lines).toBeGreaterThanOrEqual(120);
  expect(lines).toBeLessThanOrEqual(150);
});

test('docs/configure.md lists exactly the settings of hangup', () => {
  const text = readFileSync(join(ROOT, 'docs/configure.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([A-Z_]+)` *\| (.*?) *\| (.*?) *\| (.*?) *\|$/gm)];
  expect(
    rows.map(([, name, value, range, description]) => ({
      name,
      default: value?.replaceAll('`', ''),
      range,
      description,
    })),
  ).toEqual(describeSettings());
});

test('every setting in a page exists', () => {
  const settings = describeSettings().map(({ name }) => name);
  const failureReasons = ['AGENT_LEFT', 'ROOM_FINISHED'];
  const known = new Set([...settings, ...failureReasons, 'HANGUP_API_KEY', 'CALL_ID']);
  const unknown = PAGES.flatMap(({ page, text }) =>
    [
      ...text.matchAll(
        /\b(?:LIVEKIT|RETRY|KEEP|HANGUP|ROOM|COMPARE|AGENT|CONNECTION|ADOPT|NEVER|RECON[A-Z]+|RECREATED|CALL|AUDIT|EVENT)_[A-Z_]+/g,
      ),
    ]
      .map(([name]) => name)
      // Variables of the test suites.
      .filter((name) => !known.has(name) && !['LIVEKIT_SERVER', 'LIVEKIT_SIP'].includes(name))
      .map((name) => `${page}: ${name}`),
  );
  expect(unknown).toEqual([]);
});

test('docs/troubleshoot.md and the alert list every reason to refuse a webhook', () => {
  const section = /^## Webhooks are refused\n.*?(?=^## )/ms.exec(
    readFileSync(join(ROOT, 'docs/troubleshoot.md'), 'utf8'),
  )?.[0];
  const rows = [...(section ?? '').matchAll(/^\| `(\w+)` \| [^|]{20,} \| [^|]{20,} \|$/gm)];
  expect(rows.map(([, reason]) => reason)).toEqual(REFUSAL_REASONS);
  const alerts = readFileSync(join(ROOT, 'docs/monitoring/alerts.yml'), 'utf8');
  const alert = /- alert: HangupWebhooksRefused\n.*?(?=- alert: )/s.exec(alerts)?.[0];
  const description = alert?.split('description:')[1]?.replaceAll(/\s+/g, ' ') ?? '';
  for (const reason of REFUSAL_REASONS) expect(description).toMatch(new RegExp(`${reason}: \\w`));
});

test('every command in a page exists, with its options', async () => {
  const cwd = temporaryFolder();
  const { stdout } = await runHangup(['completion', 'bash'], { cwd });
  const words = new Map(
    [...stdout.matchAll(/^ {4}'([^':]*):'\*\) after='([^']*)'/gm)].map(([, path = '', after = '']) => [
      path,
      after.split(' '),
    ]),
  );
  const shown = PAGES.flatMap(({ page, text }) => {
    const blocks = [...text.matchAll(/^ *```sh\n(.*?)^ *```/gms)].map(([, code = '']) => code);
    const spans = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
    return [...blocks, ...spans].flatMap((code) =>
      [...code.matchAll(/(?:^|&& |<\(|; )(?:npx |\.\/)? *hangup ((?:[a-z]+ ?)+)([^\n;&|]*)/gm)].map(
        ([, args = '', rest = '']) => ({
          page,
          args: args.trim().split(' '),
          options: rest.match(/(?<=^|[ [])--[a-z-]+/g) ?? [],
        }),
      ),
    );
  });
  expect(shown.length).toBeGreaterThan(20);
  expect(shown.flatMap(({ options }) => options).length).toBeGreaterThan(10);
  const wrong = shown.filter(({ args: [command = '', sub = ''], options }) => {
    if (!words.get('')?.includes(command)) return true;
    const subs = words.get(command)?.filter((word) => !word.startsWith('--')) ?? [];
    if (subs.length > 0 && sub !== '' && !subs.includes(sub)) return true;
    const known = words.get(subs.includes(sub) ? `${command} ${sub}` : command) ?? [];
    return options.some((option) => !known.includes(option));
  });
  expect(wrong).toEqual([]);
});

test('hangup docs prints the pages and examples', async () => {
  const run = (...args: string[]) => runHangup(['docs', ...args], { cwd: temporaryFolder() });
  const pages = (await run()).stdout.trim().split('\n');
  expect(pages).toEqual(
    expect.arrayContaining([
      'README',
      'api',
      'architecture',
      'cli',
      'glossary',
      'install',
      'reliability',
      'troubleshoot',
      'hangup.service',
      'Caddyfile',
      'nginx.conf',
      'fleet.Caddyfile',
      'fleet-nginx.conf',
      'fleet.env',
      'alerts.yml',
      'dashboard.json',
    ]),
  );
  expect(pages).not.toContain('alerts.test.yml');
  expect(pages).not.toContain('demo.svg');
  expect((await run('install')).stdout).toBe(readFileSync(join(ROOT, 'docs/install.md'), 'utf8'));
  // A path from a link works too.
  expect((await run('docs/install.md')).stdout).toBe((await run('install')).stdout);
  expect((await run('hangup.service')).stdout).toContain('[Service]');
  expect(await run('../package.json')).toMatchObject({ code: 1 });
});

test('every fenced block is run, parsed or left out with a reason', () => {
  const fences = PAGES.flatMap(({ text }) => text.match(/^ *(?:```|~~~)/gm) ?? []);
  expect(BLOCKS.length).toBeGreaterThan(30);
  expect(fences).toHaveLength(2 * BLOCKS.length);
  // scripts/test-docs.ts runs the blocks with the treatment "run".
  const leftOut = BLOCKS.filter(({ treatment }) => treatment === 'left out').map(({ code }) => code);
  expect(leftOut.sort()).toEqual([...LEFT_OUT.keys()].sort());
  expect(() => blocksOf('a page', '```ini\n[Service]\n```\n')).toThrow('No test reads the language "ini"');
});

test('every id in a page is complete', () => {
  const ids = PAGES.flatMap(({ page, text }) =>
    [...text.matchAll(/\b(?:key|call|org|req|can)_[0-9a-f]\w*[^\s"'`|]*/g)].map(([id]) => ({ page, id })),
  );
  expect(ids.length).toBeGreaterThan(0);
  expect(ids.filter(({ id }) => !/^[a-z]+_[0-9a-f]{32}$/.test(id))).toEqual([]);
});

test('the response in README.md has the format of the server', () => {
  const responses = blocksIn('json').filter(({ page }) => page === 'README.md');
  expect(responses).toHaveLength(1);
  const Response = z.strictObject({ data: CancelledCall, message: z.literal('Call cancelled successfully') });
  for (const { code } of responses) expect(Response.safeParse(JSON.parse(code)).error).toBeUndefined();
});

const McpConfiguration = z.strictObject({
  mcpServers: z.strictObject({
    hangup: z.strictObject({
      command: z.literal('/usr/local/bin/hangup'),
      args: z.array(z.string()),
      env: z.strictObject({ HANGUP_URL: z.url(), HANGUP_API_KEY: z.literal('YOUR_KEY') }),
    }),
  }),
});

test('the configuration in docs/mcp.md starts an MCP server with the tools of the page', async () => {
  const others = blocksIn('json').filter(({ page }) => page !== 'README.md');
  expect(others.map(({ page }) => page)).toEqual(['docs/mcp.md']);
  const { args, env } = McpConfiguration.parse(JSON.parse(others[0]?.code ?? '')).mcpServers.hangup;
  expect(args).toEqual(['mcp']);
  expect(Object.keys(env)).toEqual(['HANGUP_URL', 'HANGUP_API_KEY']);
  const text = readFileSync(join(ROOT, 'docs/mcp.md'), 'utf8');
  const listed = [...text.matchAll(/^\| `(\w+)` \| [^|]+ \| `(calls:\w+)` \|$/gm)];
  const hangup = await startHangup();
  onTestFinished(() => hangup.stop());
  for (const scope of SCOPES) {
    const mcp = await startMcp({ url: hangup.url, key: await hangup.createKey('acme', [scope]) });
    const names = listed.filter(([, , required]) => required === scope).map(([, name]) => name);
    expect(new Set(await mcp.toolNames()), scope).toEqual(new Set(names));
  }
});

const LiveKitConfiguration = z.strictObject({
  keys: z.record(z.string(), z.string().min(32)),
  webhook: z.strictObject({ api_key: z.string(), urls: z.array(z.url()).min(1) }),
});
const PrometheusConfiguration = z.strictObject({
  scrape_configs: z.tuple([
    z.strictObject({
      job_name: z.literal('hangup'),
      static_configs: z.tuple([z.strictObject({ targets: z.array(z.string()).min(1) })]),
    }),
  ]),
  rule_files: z.array(z.string()).min(1),
});

test('the YAML examples are configurations of LiveKit and Prometheus', () => {
  const read = blocksIn('yaml').map(({ page, line, code }) => ({ page, line, value: parseYaml(code) }));
  const isPrometheus = ({ value }: (typeof read)[number]) => 'scrape_configs' in value;
  expect(read.filter(isPrometheus)).toHaveLength(1);
  expect(read.filter((block) => !isPrometheus(block))).toHaveLength(1);
  for (const { page, line, value } of read) {
    const place = `${page}:${line}`;
    if ('scrape_configs' in value) {
      for (const file of PrometheusConfiguration.parse(value).rule_files) {
        expect(existsSync(join(ROOT, 'docs/monitoring', file)), place).toBe(true);
      }
    } else {
      const { keys, webhook } = LiveKitConfiguration.parse(value);
      expect(Object.keys(keys), place).toContain(webhook.api_key);
    }
  }
});

test('every metric in a page exists, and docs/monitor.md lists every alert', () => {
  const registered = readFileSync(join(ROOT, 'src/metrics/prometheus.ts'), 'utf8');
  const alerts = readFileSync(join(ROOT, 'docs/monitoring/alerts.yml'), 'utf8');
  const metrics = PAGES.flatMap(({ text }) => text.match(/\bhangup_[a-z_]+[a-z]\b/g) ?? []).filter(
    // A variable of FreeSWITCH, and the cookie of the console.
    (name) => !['hangup_after_bridge', 'hangup_session'].includes(name),
  );
  expect(metrics.length).toBeGreaterThan(5);
  expect(metrics.filter((name) => !registered.includes(`'${name}'`))).toEqual([]);
  const listed = readFileSync(join(ROOT, 'docs/monitor.md'), 'utf8').match(/(?<=^\| `)Hangup\w+/gm) ?? [];
  const defined = alerts.match(/(?<=- alert: )\w+/g) ?? [];
  expect(new Set(listed)).toEqual(new Set(defined));
});

test('docs/demo.svg records a successful run of the current demo', () => {
  const svg = readFileSync(join(ROOT, 'docs/demo.svg'), 'utf8');
  const shown = [...svg.matchAll(/<text [^>]*>(.*?)<\/text>/g)].map(([, line = '']) =>
    line.replaceAll(/<[^>]*>/g, '').replace(/^ *[\d.]+ s {2}/, ''),
  );
  const demo = readFileSync(join(ROOT, 'scripts/demo.ts'), 'utf8');
  const steps = [...demo.matchAll(/printLine\('(\d\. .*?)'\)/g)].map(([, step]) => step);
  expect(steps).toHaveLength(5);
  expect(shown.filter((line) => /^\d\. /.test(line))).toEqual(steps);
  expect(demo).toContain(`printLine('${shown.at(-1)}')`);
  expect(shown.join()).toContain('✓');
  expect(shown.join()).not.toContain('✗');
});

/** Messages of the system, SQLite and livekit-sip. */
const FOREIGN_MESSAGES = [
  'listen EADDRINUSE',
  'database or disk is full',
  'file is not a database',
  'malformed',
  'readonly database',
  'database is locked',
  'error while loading shared libraries: libatomic.so.1',
];

test('every quoted message of hangup in a page is in the code', () => {
  const code = globSync('src/**/*.ts', { cwd: ROOT })
    // A comment may have the words of a message that is gone.
    .map((file) => readFileSync(join(ROOT, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ''))
    .join('\n')
    .replaceAll("\\'", "'");
  const texts = [
    'docs/troubleshoot.md',
    'docs/livekit.md',
    'docs/how-calls-end.md',
    'docs/monitor.md',
    'docs/reliability.md',
    'docs/monitoring/alerts.yml',
  ].map((page) => readFileSync(join(ROOT, page), 'utf8').replaceAll(/\s+/g, ' '));
  const startup = /\| message \| exit code .*?(?= ## )/s.exec(texts.join(' '))?.[0] ?? '';
  const quoted = [
    ...[...startup.matchAll(/\| ((?:`[^`]+`(?:, )?)+) \| \d/g)].flatMap(
      ([, cell = '']) => cell.match(/(?<=`)[^`,]{2,}(?=`)/g) ?? [],
    ),
    ...texts.flatMap((text) =>
      [...text.matchAll(/(?:logs|line|warning|error|reason) `([^`]* [^`]*)`/g)].map(
        ([, message = '']) => message,
      ),
    ),
  ].filter((message) => !FOREIGN_MESSAGES.includes(message));
  expect(quoted.length).toBeGreaterThan(15);
  const parts = quoted.flatMap((message) => message.split('...').map((part) => part.trim()));
  expect(parts.filter((part) => !code.includes(part))).toEqual([]);
});

test('docs/cli.md lists every command', async () => {
  const { stdout } = await runHangup(['completion', 'bash'], { cwd: temporaryFolder() });
  const [, commands = ''] = /^ {4}':'\*\) after='([^']*)'/m.exec(stdout) ?? [];
  const text = readFileSync(join(ROOT, 'docs/cli.md'), 'utf8');
  const listed = [...text.matchAll(/^\| (`hangup .*?) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`hangup ([a-z]+)/g)].map(([, name]) => name),
  );
  const expected = commands.split(' ').filter((word) => /^[a-z]/.test(word) && word !== 'help');
  expect(expected.length).toBeGreaterThan(10);
  expect(new Set(listed)).toEqual(new Set(expected));
});

test('the TypeScript examples compile in a client project', async () => {
  const examples = blocksIn('ts');
  expect(examples.length).toBeGreaterThan(0);
  for (const { code } of examples) {
    const variables = 'declare const apiKey: string;\ndeclare const callId: string;\n';
    expect(await compileClient(variables + code)).toBe('');
  }
});

test('hangup serves every request and every URL in a page', async () => {
  const hangup = await startHangup();
  try {
    await hangup.insertCall({ id: 'x' });
    const requests = PAGES.flatMap(({ page, text }) => [
      ...[...text.matchAll(/`(GET|POST|DELETE) (\/[\w/.{}-]*)/g)].map(([, method = '', path = '']) => ({
        page,
        method,
        path,
      })),
      ...[...text.matchAll(/https?:\/\/(?:127\.0\.0\.1:8080|hangup\.example\.com)(\/[\w/.-]+)/g)].map(
        ([, path = '']) => ({ page, method: path === '/webhooks/livekit' ? 'POST' : 'GET', path }),
      ),
    ]);
    expect(requests.length).toBeGreaterThan(15);
    const unserved: string[] = [];
    for (const { page, method, path } of requests) {
      // Prefixes such as /trpc and /api/v1/ are not endpoints.
      if (/^\/trpc$|\/$/.test(path)) continue;
      const response = await fetch(hangup.url + path.replace('{callId}', 'x'), {
        method,
        headers: { 'x-api-key': hangup.key },
      });
      const { status, text } = await readAnswer(response);
      const isMissing = text.includes('"Not found"') || status === 405;
      if (isMissing) unserved.push(`${page}: ${method} ${path}`);
    }
    expect(unserved).toEqual([]);
  } finally {
    await hangup.stop();
  }
});
