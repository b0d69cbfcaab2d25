import type { UnansweredPhone } from '../domain/ports.ts';
import type { Timestamp } from '../domain/time.ts';
import type { Dependencies } from './dependencies.ts';
import { applySighting } from './reconcile-rooms.ts';

const ASKED_AT_ONCE = 50;
/** An answer after this is too old to tell when a phone was answered. */
const TIMEOUT_MS = 2_000;
/** Its participant_left may be on the way. */
const ABSENT_FOR_MS = 10_000;
const FORGOTTEN_AFTER_MS = 600_000;

/** What one pass leaves for the next. */
export interface PhoneRound {
  /** The last call that was asked about: the next pass goes on behind it. */
  readonly after: string;
  /** Since when a phone was not in its room any more, by its participant's sid. */
  readonly absent: ReadonlyMap<string, Timestamp>;
}

export const FIRST_ROUND: PhoneRound = { after: '', absent: new Map() };

/**
 * Asks about phones that have not been answered, at most 50 in one pass, in turn: that a phone rings, and when it is
 * answered, is told by no webhook.
 */
export async function reconcilePhones(
  dependencies: Dependencies,
  { after, absent }: PhoneRound,
): Promise<PhoneRound> {
  const { store, rooms, clock } = dependencies;
  const phones = await nextPhones(store, after);
  const absentNow = new Map<string, Timestamp>();

  async function ask({ callId, roomName, sid }: UnansweredPhone): Promise<void> {
    const since = absent.get(sid);
    if (since !== undefined) absentNow.set(sid, since);
    const answer = await rooms.listParticipants(roomName, { timeoutMs: TIMEOUT_MS, priority: 'phones' });
    if (answer.kind !== 'listed') return;
    for (const participant of answer.participants) {
      if (participant.role === 'phone') {
        await applySighting(dependencies, { kind: 'participant', callId, participant });
      }
    }
    if (answer.participants.some((one) => one.sid === sid)) {
      absentNow.delete(sid);
      return;
    }
    const now = clock.now();
    if (since === undefined || since > now) absentNow.set(sid, now);
    else if (now - since >= ABSENT_FOR_MS) {
      await applySighting(dependencies, { kind: 'phone_absent', callId, sid });
    }
  }

  await Promise.all(phones.map(ask));
  if (phones.length < ASKED_AT_ONCE) return { after: '', absent: absentNow };
  // Those that had no turn this time keep their time; those that never get one again are forgotten.
  const asked = new Set(phones.map(({ sid }) => sid));
  for (const [sid, since] of absent) {
    if (!asked.has(sid) && clock.now() - since < FORGOTTEN_AFTER_MS) absentNow.set(sid, since);
  }
  return { after: phones.at(-1)?.callId ?? '', absent: absentNow };
}

async function nextPhones(store: Dependencies['store'], after: string): Promise<readonly UnansweredPhone[]> {
  const phones = await store.listUnansweredPhones({ after, limit: ASKED_AT_ONCE });
  if (phones.length === ASKED_AT_ONCE || after === '') return phones;
  const first = await store.listUnansweredPhones({ after: '', limit: ASKED_AT_ONCE - phones.length });
  return [...phones, ...first.filter(({ callId }) => callId <= after)];
}
