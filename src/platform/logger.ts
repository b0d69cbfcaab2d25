import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../ports/system.ts';

/**
 * JSON lines on standard output, readable lines on a terminal. Phone numbers are masked wherever they stand:
 * LiveKit puts the caller's into the room's name. Secrets are never handed to it.
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
    // No transports: their worker threads do not live in the single binary.
    isTerminal ? pretty({ sync: true, ignore: 'pid,hostname' }) : process.stdout,
  );
}

/**
 * Keeps the last two digits of anything that can be a phone number: 7 to 15 digits that are no part of an id. Behind %2B,
 * too, which is the + of one in a URL.
 */
export function maskPhoneNumbers(text: unknown): unknown {
  return typeof text === 'string'
    ? text.replaceAll(
        /(?:(?<=%2B)|(?<![A-Za-z0-9]))\+?\d{7,15}(?![A-Za-z0-9])/gi,
        (number) => `${'*'.repeat(number.length - 2)}${number.slice(-2)}`,
      )
    : text;
}
