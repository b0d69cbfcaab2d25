import { CliError } from '../output.ts';

/** 128 plus the number of SIGINT, as shells report it. */
const INTERRUPTED = 130;

export interface Interruption {
  readonly signal: AbortSignal;
  /** The state in which Ctrl-C would leave the server. */
  effect: string;
}

/**
 * Runs a command that Ctrl-C ends with a statement about the server. A second Ctrl-C ends the process at once.
 * @throws CliError with the exit code 130 after Ctrl-C
 */
export async function runInterruptibly(run: (interruption: Interruption) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const interruption = { signal: controller.signal, effect: 'nothing was started' };
  const interrupt = () => controller.abort();
  process.once('SIGINT', interrupt);
  try {
    await run(interruption);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    throw new CliError(`interrupted; ${interruption.effect}`, { exitCode: INTERRUPTED });
  } finally {
    process.off('SIGINT', interrupt);
  }
}
