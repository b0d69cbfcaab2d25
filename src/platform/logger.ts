import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../ports/system.ts';
import { maskPhoneNumbers } from './mask-phone-numbers.ts';

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
