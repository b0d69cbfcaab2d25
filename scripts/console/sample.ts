/** The calls of the screenshots, always the same. The phone numbers are reserved for fiction. */
import type { LiveStatus } from '../../src/domain/call-status.ts';

export interface SampleCall {
  readonly id: string;
  readonly agentId: string;
  readonly agentName: string;
  readonly status: LiveStatus;
  readonly direction: 'inbound' | 'outbound';
  readonly phoneNumber: string;
  readonly contactName: string;
  /** The time since the creation. */
  readonly ageMs: number;
}

const AGENTS = [
  { agentId: 'receptionist', agentName: 'Receptionist', direction: 'inbound', count: 11 },
  { agentId: 'appointments', agentName: 'Appointments', direction: 'outbound', count: 24 },
  { agentId: 'surveys', agentName: 'Customer surveys', direction: 'outbound', count: 8 },
] as const;

const NAMES = [
  ...[
    'Ada Obi',
    'Ben Novak',
    'Carla Mendes',
    'Dan Fischer',
    'Elif Kaya',
    'Farid Haddad',
    'Grace Lin',
    'Hugo Petit',
  ],
  ...[
    'Ines Costa',
    'Jonas Berg',
    'Kira Sato',
    'Leo Rossi',
    'Mina Park',
    'Noor Ali',
    'Otto Lang',
    'Priya Nair',
  ],
];
const PREFIXES = ['+1202555', '+1415555', '+1617555'];

/** Returns a whole number below `limit`, by a hash of the seed. */
function pick(seed: number, limit: number): number {
  let hash = Math.imul(seed + 1, 0x9e37_79b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85eb_ca77);
  return ((hash ^ (hash >>> 13)) >>> 0) % limit;
}

/** Every ninth call rings, and every thirteenth is not placed yet. */
function statusOf(index: number): LiveStatus {
  if (index % 13 === 4) return 'initiated';
  return index % 9 === 1 ? 'ringing' : 'active';
}

export const SAMPLE_CALLS: readonly SampleCall[] = AGENTS.flatMap(({ count, ...agent }, group) =>
  Array.from({ length: count }, (_, index) => {
    const seed = group * 100 + index;
    const status = statusOf(seed);
    return {
      ...agent,
      id: `call_${(0x7a10 + pick(seed, 0x7fff)).toString(16)}${seed.toString(16).padStart(3, '0')}`,
      status,
      phoneNumber: `${PREFIXES[pick(seed, PREFIXES.length)]}01${String(pick(seed + 7, 100)).padStart(2, '0')}`,
      contactName: NAMES[pick(seed + 3, NAMES.length)] ?? '',
      ageMs: status === 'active' ? 20_000 + pick(seed + 5, 640_000) : 2_000 + pick(seed + 5, 14_000),
    };
  }),
);

/** Ten seconds each: the stop of the charts was 35 minutes ago. */
const STOP_POINTS = 210;
const STOPPED_CALLS = 24;

/** Returns the points of the charts: an hour with a stop of 24 calls, and the state of the sample at its end. */
export function sampleHistory(times: readonly string[]): Record<string, readonly number[]> {
  const points = (value: (index: number, sinceStop: number) => number) =>
    times.map((_, index) => value(index, index - (times.length - STOP_POINTS)));
  const wave = (index: number, length: number) => Math.sin((index / length) * 2 * Math.PI);
  const isDuring = (since: number, length: number) => since >= 0 && since < length;
  const isNow = (index: number) => index >= times.length - 2;
  /** A single cancel now and then. */
  const single = (index: number) => (pick(index, 9) === 0 ? 6 : 0);
  return {
    liveCalls: points((index, since) => {
      const before = SAMPLE_CALLS.length - 1 + Math.round(3 * wave(index, 190) + pick(index >> 1, 3));
      if (isNow(index)) return SAMPLE_CALLS.length - 1;
      return since < 0 ? before + STOPPED_CALLS : before;
    }),
    requestsPerSecond: points(
      (index, since) => 6 + 1.5 * wave(index, 130) + pick(index, 14) / 10 + (isDuring(since, 3) ? 8 : 0),
    ),
    cancelsPerMinute: points((index, since) => (isDuring(since, 2) ? 72 : single(index))),
    deletionsPerMinute: points((index, since) => (isDuring(since, 4) ? 60 - 14 * since : single(index))),
    failedDeletionsPerMinute: points((index, since) => (isDuring(since, 12) || isNow(index) ? 12 : 0)),
    livekitRequestMs: points(
      (index, since) =>
        14 + 3 * wave(index, 80) + pick(index, 4) + (isDuring(since, 14) ? 56 - 4 * since : 0),
    ),
    openDeletions: points((index, since) => {
      if (isNow(index)) return 1;
      return isDuring(since, 14) ? Math.round(18 * Math.exp(-since / 4)) : 0;
    }),
  };
}
