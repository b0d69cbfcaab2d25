import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { describeSettings } from '../src/config.ts';
import { REFUSAL_REASONS } from '../src/domain/webhook-refusal.ts';
import { runHangup } from './harness/process.ts';
import { temporaryFolder } from './harness/temporary.ts';

const ROOT = resolve(import.meta.dirname, '..');
const PAGES = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT })].map((page) => ({
  page,
  text: readFileSync(join(ROOT, page), 'utf8'),
}));

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
    rows.map(([, name, byDefault, meaning]) => ({
      name,
      byDefault: byDefault?.replaceAll('`', ''),
      meaning,
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
