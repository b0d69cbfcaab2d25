import { setImmediate } from 'node:timers/promises';
import { agentIdFrom } from '../domain/adoption.ts';
import { type Comparison, type LiveCall, startComparison, withoutAnswer } from '../domain/comparison.ts';
import { adviceFor, describeFailure } from '../domain/livekit-failure.ts';
import type { Sighting } from '../domain/sighting.ts';
import type { Dependencies } from './dependencies.ts';
import { report } from './report.ts';

const PAGE = 100;
/** Of the calls that are not yet active, so many are asked about in one comparison, in turn. */
const ASKED_AT_ONCE = 50;

/**
 * Compares LiveKit's rooms with the record's live calls, in one request: what webhooks told is confirmed, and what they
 * did not tell is made good. Changes nothing when LiveKit gives no whole answer.
 * @param isStopping then what is not done yet is left to the next comparison: of many calls at once it takes minutes
 * @returns what the next comparison needs
 */
export async function reconcileRooms(
  dependencies: Dependencies,
  last: Comparison,
  isStopping: () => boolean = () => false,
): Promise<{ comparison: Comparison; changed: number }> {
  const { store, rooms, clock, log, backgroundTimeoutMs, neverStartedAfterMs } = dependencies;
  const askedAt = clock.now();
  const comparison = startComparison(last, { askedAt, neverStartedAfterMs });
  const answer = await rooms.listRooms(
    async (some) => comparison.takeRooms(some, await store.findLiveCallsIn(some.map(({ name }) => name))),
    { timeoutMs: backgroundTimeoutMs, priority: 'comparison' },
  );
  if (answer.kind !== 'listed') {
    log.warn(
      { cause: describeFailure(answer), ...adviceFor(answer) },
      'LiveKit did not list its rooms; nothing is concluded from that',
    );
    return { comparison: withoutAnswer(last), changed: 0 };
  }
  const now = clock.now();
  for await (const page of liveCalls(store)) comparison.takeCalls(page, now);
  const { next, gone, neverStarted, unknown, waiting } = comparison.conclude(now);
  let changed = 0;
  const see = async (sighting: Sighting) => {
    if (isStopping()) return;
    if (await applySighting(dependencies, sighting)) changed += 1;
    // Requests come between.
    await setImmediate();
  };
  for (const room of unknown) await see({ kind: 'room', room, askedAt });
  for (const { id, roomId } of gone) await see({ kind: 'room_absent', callId: id, sid: roomId });
  for (const { id } of neverStarted) await see({ kind: 'never_started', callId: id });
  if (!isStopping()) for (const sighting of await whoIsThere(dependencies, waiting)) await see(sighting);
  return { comparison: next, changed };
}

async function* liveCalls(store: Dependencies['store']): AsyncGenerator<readonly LiveCall[]> {
  let after = '';
  for (;;) {
    const page = await store.listLiveCalls({ after, limit: PAGE });
    yield page;
    const lastOne = page.at(-1);
    if (lastOne === undefined || page.length < PAGE) return;
    after = lastOne.roomName;
    // Requests come between.
    await setImmediate();
  }
}

/** Webhooks tell who joined; of calls that are still connecting, perhaps they did not. */
async function whoIsThere(
  { rooms, random, backgroundTimeoutMs }: Dependencies,
  waiting: readonly LiveCall[],
): Promise<Sighting[]> {
  const from = Math.floor(random.fraction() * waiting.length);
  const asked = [...waiting.slice(from), ...waiting.slice(0, from)].slice(0, ASKED_AT_ONCE);
  const asking = { timeoutMs: backgroundTimeoutMs, priority: 'comparison' } as const;
  const answers = await Promise.all(
    asked.map(async ({ id, roomName }) => {
      const answer = await rooms.listParticipants(roomName, asking);
      if (answer.kind !== 'listed') return [];
      return answer.participants.map(
        (participant) => ({ kind: 'participant', callId: id, participant }) as const,
      );
    }),
  );
  return answers.flat();
}

/** @returns whether it meant anything */
export async function applySighting(
  { store, clock, random, log, nudge, events }: Dependencies,
  sighting: Sighting,
): Promise<boolean> {
  const result = await store.applySighting({
    sighting,
    policy: events.policy,
    now: clock.now(),
    adoption:
      sighting.kind === 'room'
        ? {
            callId: random.id('call'),
            agentId: agentIdFrom(sighting.room.metadata, events.agentIdKey),
          }
        : null,
  });
  if (result === null) return false;
  report({ log, nudge }, result, { seen: sighting.kind });
  return result.wasAdopted || result.decision.kind !== 'nothing';
}
