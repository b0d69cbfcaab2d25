import type { Cores } from './cores.ts';
import type { Generator } from './load.ts';

export interface Bench {
  /** Holds all databases; removed after the group. */
  readonly folder: string;
  /** Stops all programs of the group. */
  readonly resources: AsyncDisposableStack;
  /** How long one measurement under load lasts. */
  readonly seconds: number;
  /** How often each side is measured, with the warm-up. */
  readonly runs: number;
  readonly generator: Generator;
  /** Null: the machine has one core, or `taskset` is missing. */
  readonly cores: Cores | null;
  readonly hangup: HangupCommand;
  /** The database of 5 million calls, which the first group that needs it makes. */
  readonly largeFile: string;
  /** Adds a line under the table. */
  note(text: string): void;
}

export interface HangupCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly description: string;
}
