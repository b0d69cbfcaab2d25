/**
 * `npm run test:docs`: runs each command of README.md and docs unchanged, as root, with systemd, in separate namespaces and on a
 * copy-on-write view of this machine. Requires root, systemd, curl, python3 with venv and
 * `npm run release`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Block, blocksOf, readPages } from './docs/blocks.ts';

const ROOT = resolve(import.meta.dirname, '..');
const TIMEOUT_S = 900;
const folder = mkdtempSync(join(tmpdir(), 'hangup-docs-'));

/** Commands that create the files and directories that a reader already has. */
const PREPARATIONS: Readonly<Record<string, string>> = {
  'docs/install.md':
    'mkdir -p /etc/bash_completion.d /usr/local/share/zsh/site-functions /etc/fish/completions',
  'docs/upgrade.md': 'cp hangup hangup-new',
};
/** How to run an example in another language, and the variables that the example uses. */
const VARIABLES: Readonly<Record<string, readonly [extension: string, command: string, prelude: string]>> = {
  js: ['mjs', 'node', 'const { API_KEY: apiKey, CALL: callId } = process.env;'],
  // Node.js of this script: the machine's own may not run TypeScript.
  ts: ['ts', '/run/test/node', "const { API_KEY: apiKey = '', CALL: callId = '' } = process.env;"],
  python: [
    'py',
    '/run/test/venv/bin/python',
    'import os\napi_key, call_id = os.environ["API_KEY"], os.environ["CALL"]',
  ],
};

function scriptOf(block: Block, index: number): string {
  const { page, line, language, code, treatment } = block;
  const steps = [`begin '${page}:${line}'`];
  const variables = VARIABLES[language];
  if (treatment === 'serve') steps.push(`serve <<'BLOCK'\n${code}BLOCK`);
  else if (variables !== undefined) {
    const [extension, command, prelude] = variables;
    const file = `block-${index}.${extension}`;
    steps.push(`cat > ${file} <<'BLOCK'\n${prelude}\n${code}BLOCK`);
    const url = 'HANGUP_URL=http://127.0.0.1:8080';
    steps.push(`CALL=$(register_call) API_KEY=$HANGUP_API_KEY ${url} ${command} ${file}`);
  } else {
    // The server of systemd and the server of a block need the same port.
    if (code.includes('systemctl')) steps.push('stop_server');
    steps.push(code.trimEnd());
  }
  return [...steps, 'passed'].join('\n');
}

/** Returns one shell script that runs the blocks of the pages in order. */
function sessionOf(pages: ReturnType<typeof readPages>, start: string): { script: string; blocks: number } {
  const parts = pages.map(({ page, text }) => {
    const blocks = blocksOf(page, text).filter(
      ({ treatment }) => treatment === 'run' || treatment === 'serve',
    );
    const script = [PREPARATIONS[page] ?? '', ...blocks.map(scriptOf)].join('\n');
    return { script, blocks: blocks.length };
  });
  return {
    script: ['. /run/test/session.sh', start, ...parts.map(({ script }) => script), ''].join('\n'),
    blocks: parts.reduce((sum, { blocks }) => sum + blocks, 0),
  };
}

const node = join(ROOT, 'node_modules/.bin');
const sessions = {
  readme: sessionOf(
    readPages().filter(({ page }) => page === 'README.md'),
    // An earlier `npm ci` filled npm's cache.
    `cd ${ROOT} && rm -rf .env data && export npm_config_offline=true`,
  ),
  docs: sessionOf(
    readPages().filter(({ page }) => page !== 'README.md'),
    `mkdir /root/release && cd /root/release && cp /run/test/release/* . && ln -s /run/test/node_modules .`,
  ),
};
const PROBE = `#!/usr/bin/env bash
export HOME=${process.env.HOME ?? '/root'} PATH=${node}:$PATH
systemctl start systemd-journald
# A response 4xx or 5xx fails the example.
printf '%s\\n' fail-with-body silent show-error > "$HOME/.curlrc"
node ${ROOT}/scripts/docs/livekit.ts > /run/test/livekit.log 2>&1 &
# Load its modules before a page runs npm ci.
until grep -q 'LiveKit serves' /run/test/livekit.log; do
  [ -n "$(jobs -r)" ] || { echo 'FAILED livekit' && cat /run/test/livekit.log && exit; }
  sleep 0.1
done
for session in ${Object.keys(sessions).join(' ')}; do
  bash "/run/test/$session.sh" 4>&1 > /run/test/session.log 2>&1 && continue
  echo "FAILED $(cat /run/test/block)"
  tail -n 40 /run/test/session.log /run/test/server.log
done
echo done
`;

try {
  const release = ['SHA256SUMS', ...globSync('hangup-*.tar.gz', { cwd: join(ROOT, 'dist') })];
  if (release.length !== 2) throw new Error('test:docs needs one release in dist: npm run release');
  mkdirSync(join(folder, 'layers'));
  mkdirSync(join(folder, 'release'));
  for (const file of release) copyFileSync(join(ROOT, 'dist', file), join(folder, 'release', file));
  // The packages that a reader of the examples in Python has installed.
  execFileSync('python3', ['-m', 'venv', join(folder, 'venv')]);
  execFileSync(join(folder, 'venv/bin/pip'), ['install', '-q', join(ROOT, 'clients/python')]);
  copyFileSync(process.execPath, join(folder, 'node'));
  // The packages that a reader of the examples in TypeScript has installed. systemd hides a repository under /tmp.
  for (const name of ['@hangup/client', '@trpc/client', '@trpc/server']) {
    const source = realpathSync(join(ROOT, 'node_modules', name));
    cpSync(source, join(folder, 'node_modules', name), { recursive: true });
  }
  copyFileSync(join(ROOT, 'scripts/docs/session.sh'), join(folder, 'session.sh'));
  for (const [name, { script }] of Object.entries(sessions))
    writeFileSync(join(folder, `${name}.sh`), script);
  const probe = join(folder, 'probe.sh');
  writeFileSync(probe, PROBE);

  const namespaces = ['--fork', '--pid', '--kill-child', '--mount', '--uts', '--ipc', '--net', '--cgroup'];
  const boot = join(ROOT, 'scripts/systemd/boot.sh');
  const systemd = spawn('unshare', [...namespaces, 'bash', boot, folder, probe], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = once(systemd, 'exit');
  const output = join(folder, 'probe.out');
  const readOutput = () => (existsSync(output) ? readFileSync(output, 'utf8') : '');
  const isDone = () => /^done$/m.test(readOutput());
  for (let waitedS = 0; waitedS < TIMEOUT_S && systemd.exitCode === null && !isDone(); waitedS += 1) {
    await sleep(1_000);
  }
  process.stdout.write(readOutput().replace(/^done\n/m, ''));
  const passed = [...readOutput().matchAll(/^ok {5}\S+\.md:\d+$/gm)].length;
  const expected = sessions.readme.blocks + sessions.docs.blocks;
  const isAll = isDone() && passed === expected && !/^FAILED/m.test(readOutput());
  process.stdout.write(`${isAll ? 'ok    ' : 'FAILED'} ${passed} of ${expected} blocks ran unchanged\n`);
  if (!isAll) process.exitCode = 1;
  systemd.kill('SIGKILL');
  await ended;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
