import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { blocksOf, LEFT_OUT, readPages } from '../scripts/docs/blocks.ts';
import { CancelledCall } from '../src/api/schemas.ts';
import { REFUSAL_REASONS } from '../src/domain/webhook-refusal.ts';
import { describeSettings } from '../src/platform/config.ts';
import { compileClient } from './harness/compile.ts';
import { startHangup } from './harness/hangup.ts';
import { runHangup } from './harness/process.ts';
import { temporaryFolder } from './harness/temporary.ts';

const ROOT = resolve(import.meta.dirname, '..');
const PAGES = readPages();
const BLOCKS = PAGES.flatMap(({ page, text }) => blocksOf(page, text));
const blocksIn = (language: string) => BLOCKS.filter((block) => block.language === language);

test('every link between pages leads somewhere', () => {
  const dead = PAGES.flatMap(({ page, text }) =>
    [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].flatMap(([, target = '']) =>
      existsSync(join(ROOT, dirname(page), target)) ? [] : [`${page}: ${target}`],
    ),
  );
  expect(PAGES.length).toBeGreaterThan(8);
  expect(dead).toEqual([]);
});

test('the settings of docs/configure.md are those there are', () => {
  const text = readFileSync(join(ROOT, 'docs/configure.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([A-Z_]+)` *\| (.*?) *\| (.*?) *\|$/gm)];
  expect(
    rows.map(([, name, value, description]) => ({
      name,
      default: value?.replaceAll('`', ''),
      description,
    })),
  ).toEqual(describeSettings());
});

test('every setting that a page names is one', () => {
  const settings = describeSettings().map(({ name }) => name);
  const failureReasons = ['AGENT_LEFT', 'ROOM_FINISHED'];
  const known = new Set([...settings, ...failureReasons, 'HANGUP_API_KEY', 'CALL_ID']);
  const unknown = PAGES.flatMap(({ page, text }) =>
    [...text.matchAll(/\b(?:LIVEKIT|RETRY|KEEP|HANGUP|ROOM|COMPARE|AGENT|CONNECTION|ADOPT|NEVER)_[A-Z_]+/g)]
      .map(([name]) => name)
      // `KEEP_…` stands for several; the test suites have their own.
      .filter((name) => !known.has(name) && !['KEEP_', 'LIVEKIT_SERVER', 'LIVEKIT_SIP'].includes(name))
      .map((name) => `${page}: ${name}`),
  );
  expect(unknown).toEqual([]);
});

test('the troubleshooting page and the alert name the causes for which webhooks are refused', () => {
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

test('every command that a page shows is one, with its options', async () => {
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

test('hangup itself prints the pages and examples', async () => {
  const run = (...args: string[]) => runHangup(['docs', ...args], { cwd: temporaryFolder() });
  const pages = (await run()).stdout.trim().split('\n');
  expect(pages).toEqual(
    expect.arrayContaining([
      'README',
      'install',
      'troubleshoot',
      'hangup.service',
      'Caddyfile',
      'nginx.conf',
      'alerts.yml',
      'dashboard.json',
    ]),
  );
  expect(pages).not.toContain('alerts.test.yml');
  expect((await run('install')).stdout).toBe(readFileSync(join(ROOT, 'docs/install.md'), 'utf8'));
  // As the pages name each other.
  expect((await run('docs/install.md')).stdout).toBe((await run('install')).stdout);
  expect((await run('hangup.service')).stdout).toContain('[Service]');
  expect(await run('../package.json')).toMatchObject({ code: 1 });
});

test('every fenced block is run, parsed or left out with a reason', () => {
  const fences = PAGES.flatMap(({ text }) => text.match(/^ *(?:```|~~~)/gm) ?? []);
  expect(BLOCKS.length).toBeGreaterThan(30);
  expect(fences).toHaveLength(2 * BLOCKS.length);
  // scripts/test-docs.ts runs those that are run.
  const leftOut = BLOCKS.filter(({ treatment }) => treatment === 'left out').map(({ code }) => code);
  expect(leftOut.sort()).toEqual([...LEFT_OUT.keys()].sort());
  expect(() => blocksOf('a page', '```ini\n[Service]\n```\n')).toThrow('No test reads the language "ini"');
});

test('input 21: no id in a page is cut', () => {
  const ids = PAGES.flatMap(({ page, text }) =>
    [...text.matchAll(/\b(?:key|call|org|req|can)_[0-9a-f]\w*[^\s"'`|]*/g)].map(([id]) => ({ page, id })),
  );
  expect(ids.length).toBeGreaterThan(0);
  expect(ids.filter(({ id }) => !/^[a-z]+_[0-9a-f]{32}$/.test(id))).toEqual([]);
});

test("the answer that README.md shows is the server's", () => {
  const answers = blocksIn('json');
  expect(answers).toHaveLength(1);
  const Answer = z.strictObject({ data: CancelledCall, message: z.literal('Call cancelled successfully') });
  for (const { code } of answers) expect(Answer.safeParse(JSON.parse(code)).error).toBeUndefined();
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

test('the YAML is what LiveKit and Prometheus read', () => {
  const read = blocksIn('yaml').map(({ page, line, code }) => ({ page, line, value: parseYaml(code) }));
  expect(read.length).toBeGreaterThan(2);
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

test('the TypeScript compiles in a project of its reader', async () => {
  const examples = blocksIn('ts');
  expect(examples.length).toBeGreaterThan(0);
  for (const { code } of examples) {
    const variables = 'declare const apiKey: string;\ndeclare const callId: string;\n';
    expect(await compileClient(variables + code)).toBe('');
  }
});

test('every request and every address of hangup that a page names is served', async () => {
  const hangup = await startHangup();
  try {
    await hangup.putCall({ id: 'x' });
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
      // tRPC's own prefix, and that of calls, are no addresses.
      if (/^\/trpc$|\/$/.test(path)) continue;
      const response = await fetch(hangup.url + path.replace('{callId}', 'x'), {
        method,
        headers: { 'x-api-key': hangup.key },
      });
      const isMissing = (await response.text()).includes('"Not found"') || response.status === 405;
      if (isMissing) unserved.push(`${page}: ${method} ${path}`);
    }
    expect(unserved).toEqual([]);
  } finally {
    await hangup.stop();
  }
});
