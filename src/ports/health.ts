import type { Timestamp } from '../domain/time.ts';

/** The state of this process, for the health of an organization. */
export interface ProcessHealth {
  readonly version: string;
  readonly startedAt: Timestamp;
  readonly storeKind: 'sqlite' | 'postgres';
  /** Null until LiveKit has responded, or has left enough requests unanswered. */
  isLiveKitUp(): boolean | null;
  /** Since when LiveKit is up or down; null while that is unknown. */
  liveKitSince(): Timestamp | null;
  /** Counts the requests of clients since the last call, and times the requests to LiveKit. */
  takeTraffic(): Traffic;
  /** Runs the checks of `hangup doctor` in a process of their own. @throws Error when they have no result in time */
  diagnose(): Promise<readonly Diagnosis[]>;
}

export interface Traffic {
  readonly requests: number;
  /** The 95th percentile of the requests to LiveKit; null without requests. */
  readonly livekitMs: number | null;
}

export interface Diagnosis {
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'failure' | 'unknown';
  readonly message: string;
  readonly advice: string | null;
}
