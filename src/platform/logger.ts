import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../ports/system.ts';

/**
 * Returns a logger that writes JSON lines to standard output, or readable lines to a terminal. It masks phone numbers,
 * because LiveKit puts the caller's number into room names. Callers must not pass secrets.
 */
export function createLogger(level: string, { isTerminal }: { isTerminal: boolean }): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        roomName: maskPhoneNumbers,
        cause: maskPhoneNumbers,
        path: maskPhoneNumbers,
        err: (error: Error) => {
          const { type, message, stack } = pino.stdSerializers.err(error);
          return { type, message: maskPhoneNumbers(message), stack: maskPhoneNumbers(stack) };
        },
      },
    },
    // pino's transports start worker threads, which cannot load in the single file.
    isTerminal ? pretty({ sync: true, ignore: 'pid,hostname' }) : process.stdout,
  );
}

/**
 * Masks all but the last two digits of each possible phone number: 7 to 15 digits that are not part of an id. A number
 * may follow %2B, the encoded + of a URL. Returns other values than strings unchanged.
 */
export function maskPhoneNumbers(text: unknown): unknown {
  return typeof text === 'string'
    ? text.replaceAll(
        /(?:(?<=%2B)|(?<![A-Za-z0-9]))\+?\d{7,15}(?![A-Za-z0-9])/gi,
        (number) => `${'*'.repeat(number.length - 2)}${number.slice(-2)}`,
      )
    : text;
}
