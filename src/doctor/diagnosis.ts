import type { Timestamp } from '../domain/time.ts';
import { REFUSAL_ADVICE, REFUSAL_REASONS } from '../domain/webhook-refusal.ts';
import type { LiveCounts } from '../ports/store.ts';

/** unknown: it could not be found out, which is no fault by itself. */
export type Level = 'ok' | 'warning' | 'failure' | 'unknown';

/** One line of a diagnosis. */
export interface Finding {
  readonly check: string;
  readonly level: Level;
  readonly message: string;
  /** What to do; may have several lines. */
  readonly advice?: string;
}

export type SettingsFacts =
  | { readonly kind: 'wrong'; readonly problems: readonly string[] }
  | {
      readonly kind: 'good';
      /** Its full path; null when there is none. */
      readonly file: string | null;
      /** Whether every user of the machine may read the file, where the secret is. */
      readonly isFilePublic: boolean;
      /** What was given without effect. */
      readonly warnings: readonly string[];
      /** Names of the settings, of each place those that count. */
      readonly fromFile: readonly string[];
      readonly fromEnvironment: readonly string[];
    };

/** none: not made by hangup. older: `hangup migrate` brings it up to date. newer: made by another hangup. */
export type SchemaAge = 'none' | 'older' | 'current' | 'newer';

export type DatabaseFacts =
  | { readonly kind: 'missing' }
  | { readonly kind: 'unusable'; readonly detail: string; readonly advice: string }
  | {
      readonly kind: 'open';
      readonly schema: SchemaAge;
      readonly journalMode: string;
      /** What SQLite's own check says is broken; empty when nothing is. */
      readonly corruption: readonly string[];
      /** Names of the files that every user of the machine may read. */
      readonly publicFiles: readonly string[];
      readonly isOwn: boolean;
      /** Whether this user may write the file, and make others beside it. */
      readonly isWritable: boolean;
      readonly freeBytes: number;
      /** Size of the -wal. */
      readonly walBytes: number;
      /** Null when the schema is not this version's. */
      readonly record: RecordFacts | null;
    };

export interface RecordFacts {
  readonly census: LiveCounts;
  readonly lastWebhookAt: Timestamp | null;
  /** URLs of the LiveKit servers that it was served with, the last one first. */
  readonly livekitServers: readonly string[];
  /** Of the rooms that LiveKit has now. */
  readonly rooms: { readonly live: number; readonly ended: number; readonly unknown: number };
}

export type LiveKitFacts =
  | { readonly kind: 'unreachable'; readonly detail: string }
  | {
      readonly kind: 'answered';
      /** key: it does not know the key. token: it knows it, and does not take what is signed with the secret. */
      readonly verdict:
        | { readonly kind: 'accepted'; readonly roomNames: readonly string[] }
        | { readonly kind: 'refused'; readonly by: 'key' | 'token' }
        | { readonly kind: 'no_livekit'; readonly status: number };
      /** How far its clock is ahead of ours, behind if negative; null when it did not tell its time. */
      readonly clockAheadMs: number | null;
    };

const STUCK_MS = 120_000;
const QUIET_MS = 3_600_000;
const WEBHOOK_ADVICE = [
  "in LiveKit's configuration, `webhook.urls` has to name this server's /webhooks/livekit",
  'if the log has `webhook refused`, its `reason` names the cause:',
  ...REFUSAL_REASONS.map((reason) => `  ${reason}: ${REFUSAL_ADVICE[reason]}`),
].join('\n');

export function judgeSettings(facts: SettingsFacts): Finding[] {
  const check = 'settings';
  if (facts.kind === 'wrong') {
    return facts.problems.map((message) => ({
      check,
      level: 'failure',
      message,
      advice: 'correct it in the environment or in .env; the README has the table of settings',
    }));
  }
  const named = (names: readonly string[]) => (names.length === 0 ? 'nothing' : names.join(', '));
  const findings: Finding[] = [
    {
      check,
      level: 'ok',
      message: `from the environment: ${named(facts.fromEnvironment)}; ${
        facts.file === null
          ? 'no file .env in this directory'
          : `from ${facts.file}: ${named(facts.fromFile)}`
      }; defaults for the rest`,
    },
  ];
  for (const message of facts.warnings) {
    const advice = 'correct the name or the line, or take it away; the README has the table of settings';
    findings.push({ check, level: 'warning', message, advice });
  }
  if (facts.isFilePublic) {
    findings.push({
      check,
      level: 'warning',
      message: `every user of this machine may read ${facts.file}`,
      advice: `chmod 600 ${facts.file}`,
    });
  }
  return findings;
}

/** What is on record, against what LiveKit has. @param isLiveKitListed whether LiveKit told its rooms */
export function judgeRecord(
  { census, lastWebhookAt, rooms }: RecordFacts,
  { now, isLiveKitListed }: { now: Timestamp; isLiveKitListed: boolean },
): Finding[] {
  const liveCalls = Object.values(census.liveCalls).reduce((sum, count) => sum + count, 0);
  return [
    ...(isLiveKitListed ? [judgeRooms(rooms)] : []),
    judgeDeletions(census, now),
    judgeWebhooks(lastWebhookAt, { now, liveCalls }),
  ];
}

function judgeRooms({ live, ended, unknown }: RecordFacts['rooms']): Finding {
  const message = `LiveKit has ${plural(live + ended + unknown, 'room')}: ${live} of live calls, ${ended} of ended calls, ${unknown} not on record`;
  if (ended === 0) return { check: 'rooms', level: 'ok', message };
  return {
    check: 'rooms',
    level: 'warning',
    message,
    advice:
      'a running hangup deletes the rooms of ended calls: ask again in a minute; the log says why it fails',
  };
}

function judgeDeletions({ openDeletions, oldestOpenDeletionAt }: LiveCounts, now: Timestamp): Finding {
  const check = 'deletions';
  const { discarded } = openDeletions;
  const ageMs = oldestOpenDeletionAt === null ? 0 : now - oldestOpenDeletionAt;
  if (ageMs > STUCK_MS) {
    return {
      check,
      level: 'warning',
      message: `a call ended ${ago(ageMs)}, and its room is still not gone`,
      advice: 'see whether hangup runs; `room not deleted` in its log says why, in `cause` and `advice`',
    };
  }
  if (discarded > 0) {
    return {
      check,
      level: 'warning',
      message: `${plural(discarded, 'room')} could not be deleted for so long that hangup gave up`,
      advice: 'the log names them, at `given up`: delete those that are alive by hand',
    };
  }
  return { check, level: 'ok', message: 'no room waits for long to be deleted' };
}

function judgeWebhooks(
  lastWebhookAt: Timestamp | null,
  { now, liveCalls }: { now: Timestamp; liveCalls: number },
): Finding {
  const check = 'webhooks';
  const live = `${plural(liveCalls, 'call')} live${liveCalls === 1 ? 's' : ''}`;
  if (lastWebhookAt !== null) {
    const message = `the last one came ${ago(now - lastWebhookAt)}`;
    // A long call sends none for as long, and so does a scheduled one.
    return liveCalls > 0 && now - lastWebhookAt > QUIET_MS
      ? { check, level: 'unknown', message: `${message}, and ${live}`, advice: WEBHOOK_ADVICE }
      : { check, level: 'ok', message };
  }
  const none = 'none came within the last two days';
  return liveCalls === 0
    ? { check, level: 'unknown', message: `${none}, and no call lives` }
    : { check, level: 'warning', message: `${none}, and ${live}`, advice: WEBHOOK_ADVICE };
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3_600)} h ago`;
}
