import { print, printProgress } from '../output.ts';
import { type Cancellation, describeCounts, formatBar } from './cancellation.ts';

/** Shows a cancellation while it runs. */
export interface ProgressView {
  show(cancellation: Cancellation): void;
  /** Prints a line that stays. */
  note(text: string): void;
  /** Ends the last line. */
  close(): void;
}

/** A line every 5 s at most is enough for a log. */
const LINE_INTERVAL_MS = 5_000;

const DEFAULT_COLUMNS = 80;
const MIN_BAR = 5;
const MAX_BAR = 20;
const ERASE_REST_OF_LINE = '\x1b[K';

interface Terminal {
  readonly columns?: number;
  write(text: string): unknown;
}

/** Returns a view that rewrites one line of a terminal. */
export function createBar(terminal: Terminal, { expected }: { expected: number }): ProgressView {
  let isOpen = false;
  const close = () => {
    if (isOpen) terminal.write('\n');
    isOpen = false;
  };
  return {
    show({ counts }) {
      const text = describeCounts(counts);
      // A longer line would wrap, and the next one would not replace it.
      const columns = (terminal.columns || DEFAULT_COLUMNS) - 1;
      const width = Math.min(MAX_BAR, Math.max(MIN_BAR, columns - text.length - '[] '.length));
      const line = `${formatBar(counts, { expected, width })} ${text}`;
      terminal.write(`\r${line.slice(0, columns)}${ERASE_REST_OF_LINE}`);
      isOpen = true;
    },
    note(text) {
      close();
      terminal.write(`hangup: ${text}\n`);
    },
    close,
  };
}

/** Returns a view that prints lines: each state at once, and new counts at most every 5 s. */
export function createLines({ now }: { now: () => number }): ProgressView {
  let last: { line: string; state: string; at: number } | null = null;
  return {
    show({ id, state, counts }) {
      const line = `${id} ${state}: ${describeCounts(counts)}`;
      if (last?.line === line) return;
      if (last?.state === state && now() - last.at < LINE_INTERVAL_MS) return;
      last = { line, state, at: now() };
      printProgress(line);
    },
    note: printProgress,
    close() {},
  };
}

/** Returns a view that prints a line of JSON for each change to standard output. */
export function createJsonLines(): ProgressView {
  let last = '';
  return {
    show(cancellation) {
      const line = JSON.stringify(cancellation);
      if (line !== last) print(line);
      last = line;
    },
    note: printProgress,
    close() {},
  };
}
