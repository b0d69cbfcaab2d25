import { execFile } from 'node:child_process';
import { isSea } from 'node:sea';

/** Much more than the findings of all checks. */
const MAX_OUTPUT_BYTES = 1024 * 1024;

/**
 * Runs a command of hangup in a process of its own, with the same settings. Returns its standard output, whatever its exit
 * code is.
 * @throws Error when the command does not start or end in time, or prints nothing
 */
export function runSelf(args: readonly string[], { timeoutMs }: { timeoutMs: number }): Promise<string> {
  const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES } as const;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...selfArguments(), ...args], options, (error, stdout) => {
      if (error?.killed) reject(new Error(`hangup ${args.join(' ')} did not end in ${timeoutMs / 1_000} s`));
      else if (stdout === '') reject(error ?? new Error(`hangup ${args.join(' ')} printed nothing`));
      else resolve(stdout);
    });
  });
}

/** Returns the arguments of Node.js before those of hangup. The single file has them inside. */
function selfArguments(): string[] {
  const [, main = ''] = process.argv;
  // Two processes cannot share the port of a debugger.
  return isSea() ? [] : [...process.execArgv.filter((argument) => !argument.startsWith('--inspect')), main];
}
