import { afterAll, expect, onTestFinished } from 'vitest';
import { type Hangup, startHangup, type TestSettings } from './hangup.ts';
import type { LiveKitUnderTest, TestParticipant } from './livekit.ts';

/* Calls of a caller with an agent, and what becomes of them, on a real LiveKit. */

const COMPARED_EVERY_MS = 5_000;
const LONGEST_BACKOFF_MS = 5_000;

/** As an operator has them, but for how often a test wants to wait. */
const AS_SHIPPED: TestSettings = {
  cancelTimeoutMs: 2_500,
  backgroundTimeoutMs: 10_000,
  retry: { firstDelayMs: 1_000, maxDelayMs: LONGEST_BACKOFF_MS, maxAgeMs: 86_400_000 },
  reconcileSchedule: '*/5 * * * * *',
};

/** The promise: when LiveKit answers again, the rooms of ended calls are gone within this. */
export const PROMISED_MS = COMPARED_EVERY_MS + LONGEST_BACKOFF_MS;

/** LiveKit takes 3 s to say that a node does not answer, and a room is rescued in the third attempt at the latest. */
export const RESCUED_WITHIN_MS = PROMISED_MS + 3 * 3_000 + LONGEST_BACKOFF_MS;

export async function startOn(livekit: LiveKitUnderTest, settings: TestSettings = {}): Promise<Hangup> {
  const hangup = await startHangup({ livekit, settings: { ...AS_SHIPPED, ...settings } });
  onTestFinished(() => hangup.stop());
  return hangup;
}

export const webhookUrl = (port: number) => `http://127.0.0.1:${port}/webhooks/livekit`;

export interface Talk {
  readonly id: string;
  readonly caller: TestParticipant;
  readonly agent: TestParticipant;
  leave(): Promise<void>;
  /** Why both were disconnected, once they are. */
  readonly disconnected: Promise<readonly string[]>;
  /** Whether neither is disconnected. */
  isGoingOn(): boolean;
}

/** A registered call with both in its room. */
export async function beginTalk(hangup: Hangup, livekit: LiveKitUnderTest, id: string): Promise<Talk> {
  expect(await hangup.send('POST', '/api/v1/calls', { body: { id } })).toMatchObject({ status: 201 });
  const caller = await livekit.join(id, 'caller');
  const agent = await livekit.join(id, 'agent', { kind: 'agent' });
  let isGoingOn = true;
  const over = () => {
    isGoingOn = false;
  };
  void caller.disconnected.then(over);
  void agent.disconnected.then(over);
  return {
    id,
    caller,
    agent,
    leave: async () => {
      await caller.leave();
      await agent.leave();
    },
    disconnected: Promise.all([caller.disconnected, agent.disconnected]),
    isGoingOn: () => isGoingOn,
  };
}

export async function cancel(hangup: Hangup, id: string): Promise<void> {
  expect(await hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });
}

export async function recordOf({ store }: Hangup, id: string) {
  const record = await store.findCall(id);
  if (record === null) throw new Error(`there is no call ${id}`);
  return record;
}

export const statusOf = async (hangup: Hangup, id: string) => (await recordOf(hangup, id)).call.status;

export const isSettled = async (hangup: Hangup, id: string) =>
  (await recordOf(hangup, id)).deletion?.state === 'completed';

/** Notes what was measured, and prints it when the file's tests are over. */
export function startMeasuring(): {
  measure(what: string, sinceMs: number): void;
  measured(line: string): void;
} {
  const lines: string[] = [];
  afterAll(() => {
    process.stdout.write(`\nmeasured on the real server:\n${lines.map((line) => `  ${line}\n`).join('')}`);
  });
  return {
    measure: (what, sinceMs) => void lines.push(`${what}: ${Math.round(performance.now() - sinceMs)} ms`),
    measured: (line) => void lines.push(line),
  };
}
