import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { Logger } from '../ports/system.ts';
import { systemClock } from './clock.ts';
import { maskPhoneNumbers } from './mask-phone-numbers.ts';
import { messageWithCauses } from './message-with-causes.ts';

/**
 * Returns a logger that writes JSON lines to standard output, or readable lines to a terminal. It masks phone numbers,
 * because LiveKit puts the caller's number into room names. Callers must not pass secrets.
 */
export function createLogger(level: string, { isTerminal }: { isTerminal: boolean }): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        roomName: maskPhoneNumbers,
        cause: maskPhoneNumbers,
        path: maskPhoneNumbers,
        err: (error: Error) => {
          const { type, stack } = pino.stdSerializers.err(error);
          // The serializer of pino repeats a cause that the message contains.
          return {
            type,
            message: maskPhoneNumbers(messageWithCauses(error)),
            stack: maskPhoneNumbers(stack),
          };
        },
      },
    },
    // pino's transports start worker threads, which cannot load in the single file.
    isTerminal ? pretty({ sync: true, ignore: 'pid,hostname' }) : writeOncePerTurn(process.stdout),
  );
}

/** Returns the time of a line as JSON. Lines of one millisecond share the text. */
function createTimestamp(): () => string {
  let textAt = Number.NaN;
  let text = '';
  return () => {
    const now = systemClock.now();
    if (now !== textAt) text = `,"time":"${new Date(now).toISOString()}"`;
    textAt = now;
    return text;
  };
}

/** Returns a stream that writes the lines of one turn of the event loop in one system call, also when the process exits. */
function writeOncePerTurn(output: NodeJS.WritableStream): { write(line: string): void } {
  let lines = '';
  const flush = () => {
    const text = lines;
    lines = '';
    if (text !== '') output.write(text);
  };
  process.on('exit', flush);
  return {
    write(line) {
      if (lines === '') setImmediate(flush);
      lines += line;
    },
  };
}
