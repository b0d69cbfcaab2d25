import type { Timestamp } from '../../domain/time.ts';
import type { Traffic } from '../../ports/health.ts';
import type { Activity, OrganizationActivity } from '../../ports/overview-store.ts';
import type { Store } from '../../ports/store.ts';
import type { Clock } from '../../ports/system.ts';

export const HISTORY_INTERVAL_MS = 10_000;
const MAX_POINTS = 360;

interface Point {
  readonly at: Timestamp;
  /** Time since the point before; null for the first point, which counts no events. */
  readonly elapsedMs: number | null;
  readonly traffic: Traffic;
  readonly organizations: ReadonlyMap<string, OrganizationActivity>;
}

export interface History {
  readonly times: readonly Timestamp[];
  /** Each has a value for each time. Null: not known. */
  readonly series: Readonly<
    Record<
      | 'liveCalls'
      | 'requestsPerSecond'
      | 'cancelsPerMinute'
      | 'deletionsPerMinute'
      | 'failedDeletionsPerMinute'
      | 'livekitRequestMs'
      | 'openDeletions',
      readonly (number | null)[]
    >
  >;
}

export interface HistoryRecorder {
  /** Adds a point, at intervals of {@link HISTORY_INTERVAL_MS}. A point that cannot be read is left out. */
  record(): Promise<void>;
  /** Returns the last hour. The numbers of calls and deletions are those of the organization. */
  read(organizationId: string): History;
}

/** Keeps the points of the last hour in memory. */
export function createHistory({
  store,
  clock,
  takeTraffic,
}: {
  store: Pick<Store, 'readActivity'>;
  clock: Clock;
  takeTraffic: () => Traffic;
}): HistoryRecorder {
  let points: readonly Point[] = [];
  let position: number | null = null;
  let lastAt: Timestamp | null = null;
  let isRecording = false;

  function add(activity: Activity): void {
    const at = clock.now();
    const elapsedMs = position === null || lastAt === null ? null : Math.max(1, at - lastAt);
    const organizations = new Map(activity.organizations.map((one) => [one.organizationId, one]));
    points = [...points, { at, elapsedMs, traffic: takeTraffic(), organizations }].slice(-MAX_POINTS);
    position = activity.position;
    lastAt = at;
  }

  return {
    async record() {
      // A slow database must not collect reads.
      if (isRecording) return;
      isRecording = true;
      try {
        add(await store.readActivity(position));
      } catch {
        // The store counts its failures. The next point has the events since the last one.
      } finally {
        isRecording = false;
      }
    },
    read(organizationId) {
      const valuesOf = (value: (point: Point, own: OrganizationActivity | undefined) => number | null) =>
        points.map((point) => value(point, point.organizations.get(organizationId)));
      const perMinute = (name: 'cancelled' | 'deleted' | 'failed') =>
        valuesOf(({ elapsedMs }, own) => rate(own?.[name] ?? 0, elapsedMs, 60_000));
      return {
        times: points.map(({ at }) => at),
        series: {
          liveCalls: valuesOf((_, own) => own?.liveCalls ?? 0),
          requestsPerSecond: valuesOf(({ traffic, elapsedMs }) => rate(traffic.requests, elapsedMs, 1_000)),
          cancelsPerMinute: perMinute('cancelled'),
          deletionsPerMinute: perMinute('deleted'),
          failedDeletionsPerMinute: perMinute('failed'),
          livekitRequestMs: valuesOf(({ traffic }) => traffic.livekitMs && round(traffic.livekitMs)),
          openDeletions: valuesOf((_, own) => own?.openDeletions ?? 0),
        },
      };
    },
  };
}

const rate = (count: number, elapsedMs: number | null, unitMs: number) =>
  elapsedMs === null ? null : round((count * unitMs) / elapsedMs);
const round = (value: number) => Math.round(value * 100) / 100;
