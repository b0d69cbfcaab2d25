import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join, resolve } from 'node:path';
import { inject, onTestFinished } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
export const MAIN = resolve(ROOT, 'src/main.ts');
/** Starts hangup: the bundle of this run, or the single file that HANGUP_BINARY names. */
export const COMMAND: readonly [string, ...string[]] = process.env.HANGUP_BINARY
  ? [process.env.HANGUP_BINARY]
  : [process.execPath, inject('bundle')];

/** Starts the thread of the store from the bundle, which takes a fifth of the time that the source takes. */
export const STORE_THREAD = {
  entry: join(dirname(inject('bundle')), 'store-thread.cjs'),
  options: { execArgv: [] },
};

export interface ProcessResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningHangup {
  readonly url: string;
  readonly child: ChildProcess;
  output(): string;
  kill(signal: NodeJS.Signals): Promise<number | null>;
}

type Environment = Readonly<Record<string, string>>;

/** Returns the environment of a process: no setting of the developer's shell reaches the process. */
function environment(extra: Environment) {
  return { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...extra };
}

function start(args: readonly string[], env: Environment, cwd: string): ChildProcess {
  const [command, ...before] = COMMAND;
  const child = spawn(command, [...before, ...args], { env: environment(env), cwd });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves when the process has ended and its output is complete. */
  readonly result: Promise<ProcessResult>;
}

/** Starts a command of hangup. */
export function startCommand(
  args: readonly string[],
  { env = {}, cwd }: { env?: Environment; cwd: string },
): RunningCommand {
  const child = start(args, env, cwd);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  const stdout = () => Buffer.concat(out).toString();
  const stderr = () => Buffer.concat(err).toString();
  const result = once(child, 'close').then(() => ({
    code: child.exitCode,
    stdout: stdout(),
    stderr: stderr(),
  }));
  return { child, stdout, stderr, result };
}

/** Runs a command of hangup and returns its result. */
export function runHangup(
  args: readonly string[],
  options: { env?: Environment; cwd: string },
): Promise<ProcessResult> {
  return startCommand(args, options).result;
}

/** Starts `hangup serve` on a free port and waits until the server listens. */
export async function serveHangup({ env, cwd }: { env: Environment; cwd: string }): Promise<RunningHangup> {
  // Tests poll more often than clients.
  const limits = { RATE_LIMIT_CALLS: '0', RATE_LIMIT_CANCELS: '0', RATE_LIMIT_ANONYMOUS: '0' };
  const child = start(['serve'], { PORT: '0', ...limits, ...env }, cwd);
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (chunk: Buffer) => {
      output += chunk.toString();
      const found = /"url":"(http:[^"]+)"/.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    // The output is complete after `close`, not after `exit`.
    child.once('close', (code) => reject(new Error(`hangup ended with ${code}:\n${output}`)));
  });
  return {
    url,
    child,
    output: () => output,
    kill: async (signal) => {
      const closed = once(child, 'close');
      child.kill(signal);
      await closed;
      return child.exitCode;
    },
  };
}
