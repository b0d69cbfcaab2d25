import { createHangup, HangupError } from '@hangup/client';

const { HANGUP_URL = 'http://127.0.0.1:8080', HANGUP_API_KEY = '' } = process.env;

/**
 * Runs an example with a client and the arguments of the command. If a request fails, prints the error and exits with 1.
 * @param {string} usage the name of the file and of each argument
 * @param {(hangup: import('@hangup/client').Hangup, ...args: string[]) => Promise<void>} example
 * @param {Partial<import('@hangup/client').HangupOptions>} options
 */
export async function run(usage, example, options = {}) {
  const args = process.argv.slice(2);
  if (args.length !== usage.split(' ').length - 1 || [HANGUP_API_KEY, ...args].includes('')) {
    console.error(`Usage: HANGUP_API_KEY=KEY node ${usage}`);
    process.exitCode = 2;
    return;
  }
  const hangup = createHangup({ url: HANGUP_URL, apiKey: HANGUP_API_KEY, timeoutMs: 10_000, ...options });
  try {
    await example(hangup, ...args);
  } catch (error) {
    if (!(error instanceof HangupError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
