import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { z } from 'zod';

const PROGRAMS = join(import.meta.dirname, 'programs');
const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) kill(child);
});

/** Ends a process and the processes that it traces or started. */
function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The process ended already.
  }
}

/** Starts a command in a process group of its own, on one core. */
export function startPinned(
  core: number | null,
  command: string,
  args: readonly string[],
  { env, stdio }: { env: NodeJS.ProcessEnv; stdio: StdioOptions },
): { readonly child: ChildProcess; stop(): Promise<void> } {
  const pinned = core === null ? [command, ...args] : ['taskset', '-c', String(core), command, ...args];
  const [file = command, ...rest] = pinned;
  const child = spawn(file, rest, { env, stdio, detached: true });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return {
    child,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      kill(child);
      await ended;
    },
  };
}

const Message = z.union([
  z.object({ ready: z.unknown() }),
  z.object({ id: z.number(), answer: z.unknown() }),
  z.object({ id: z.number(), failure: z.string() }),
]);

/** A program of scripts/bench/programs, controlled over Node's channel between parent and child. */
export interface Program<Answer> extends AsyncDisposable {
  readonly port: number;
  /** @throws what the program threw, or that it ended */
  request(message: object): Promise<Answer>;
}

/**
 * Starts a program and waits until it is ready.
 * @param prefix a command that runs the program, such as strace with its options
 */
export async function startProgram<Answer>(
  name: string,
  {
    core,
    options = {},
    answer,
    prefix = [],
  }: { core: number | null; options?: object; answer: z.ZodType<Answer>; prefix?: readonly string[] },
): Promise<Program<Answer>> {
  const line = [...prefix, process.execPath, join(PROGRAMS, `${name}.ts`), JSON.stringify(options)];
  const [command = process.execPath, ...args] = line;
  const { child, stop } = startPinned(core, command, args, {
    env: process.env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  const ready = Promise.withResolvers<unknown>();
  let nextId = 0;
  child.on('message', (raw) => {
    const message = Message.parse(raw);
    if ('ready' in message) ready.resolve(message.ready);
    else if ('answer' in message) pending.get(message.id)?.resolve(message.answer);
    else if ('failure' in message) pending.get(message.id)?.reject(new Error(message.failure));
  });
  child.once('exit', (code, signal) => {
    const error = new Error(`${name} ended with ${code ?? signal}`);
    for (const { reject } of [...pending.values(), ready]) reject(error);
  });
  const { port } = z.object({ port: z.number() }).parse(await ready.promise);
  return {
    port,
    async request(message) {
      nextId += 1;
      const id = nextId;
      const answered = Promise.withResolvers<unknown>();
      pending.set(id, answered);
      child.send({ id, message });
      return answer.parse(await answered.promise.finally(() => pending.delete(id)));
    },
    [Symbol.asyncDispose]: stop,
  };
}
