import { createInterface } from 'node:readline';
import { CliError } from '../output.ts';

/**
 * Resolves when a person has typed the number of calls.
 * @throws CliError for anything else, and at the end of the input; the signal's reason if the signal aborts
 */
export async function confirmCount(
  count: number,
  { input, signal }: { input: NodeJS.ReadableStream; signal: AbortSignal },
): Promise<void> {
  const line = await readLine(input, signal);
  if (line?.trim() === String(count)) return;
  throw new CliError(`the number of calls is ${count}. Nothing was started.`);
}

/** Returns the next line; null at the end of the input. */
function readLine(input: NodeJS.ReadableStream, signal: AbortSignal): Promise<string | null> {
  // Without terminal: true the terminal itself edits the line, and Ctrl-C remains a signal.
  const lines = createInterface({ input, terminal: false });
  return new Promise<string | null>((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    lines.once('line', resolve);
    lines.once('close', () => resolve(null));
  }).finally(() => lines.close());
}
