import type { Bench } from './context.ts';

export type Unit = '/s' | 'ms' | 'MB';

export type Goal =
  | { readonly ratioAtLeast: number }
  | { readonly ratioAtMost: number }
  | { readonly valueAtMost: number };

/** One line of the table: the value of one side against the value of another side in the same rounds. */
export interface Row {
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  /** A side of the group. */
  readonly measured: string;
  /** A side of the group. */
  readonly against: string;
  /** The baseline in words, for the table. */
  readonly baseline: string;
  /** Null: the issue tracker names no goal. */
  readonly goal: Goal | null;
  /** True: measured only when the row is named, because its data take minutes to make. */
  readonly isOnlyByName?: boolean;
}

/** Measures once. Throws on a wrong result, never on a slow one. */
export type Side = () => Promise<number>;

/** Rows that share programs and data. */
export interface Group {
  readonly rows: readonly Row[];
  /** Overrides the number of rounds, for sides that take long and vary little. */
  readonly rounds?: number;
  /** False: the first measurement counts too, because each one starts a new process. */
  readonly hasWarmUp?: boolean;
  /**
   * Starts the programs of the wanted sides and returns those sides.
   * Everything started goes into `bench.resources`.
   */
  open(bench: Bench, wanted: ReadonlySet<string>): Promise<Readonly<Record<string, Side>>>;
}
