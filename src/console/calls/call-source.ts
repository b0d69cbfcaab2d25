import type { Call } from '../api/call.ts';

export interface CallPage {
  readonly calls: readonly Call[];
  readonly nextCursor: string | null;
  readonly total: number;
  /** True if there are more calls than `total`. */
  readonly isTotalCapped: boolean;
}

/** Reads the calls of a filter. */
export interface CallSource {
  readPage(cursor: string | null, signal: AbortSignal): Promise<CallPage>;
  /** Reads the calls of the list that were created in this period, inclusive. Null: the source cannot. */
  readonly readPeriod: ((from: string, to: string, signal: AbortSignal) => Promise<readonly Call[]>) | null;
}
