import { afterAll, expect, onTestFinished } from 'vitest';
import { type Hangup, startHangup, type TestSettings } from './hangup.ts';
import type { LiveKitUnderTest, TestParticipant } from './livekit.ts';

/* Calls of a caller with an agent on a real LiveKit. */

const RECONCILE_INTERVAL_MS = 5_000;
const MAX_RETRY_DELAY_MS = 5_000;

/** The default settings, with shorter waits. */
const SHORTENED_DEFAULTS: TestSettings = {
  cancelTimeoutMs: 2_500,
  backgroundTimeoutMs: 10_000,
  retry: { initialDelayMs: 1_000, maxDelayMs: MAX_RETRY_DELAY_MS, maxAgeMs: 86_400_000 },
  reconcileSchedule: '*/5 * * * * *',
};

/** The rooms of ended calls are deleted within this time after LiveKit responds again. */
export const DELETION_SLO_MS = RECONCILE_INTERVAL_MS + MAX_RETRY_DELAY_MS;

/** LiveKit needs 3 s to report an unresponsive node, and the third attempt rescues a room at the latest. */
export const RESCUE_SLO_MS = DELETION_SLO_MS + 3 * 3_000 + MAX_RETRY_DELAY_MS;

export async function startHangupOn(livekit: LiveKitUnderTest, settings: TestSettings = {}): Promise<Hangup> {
  const hangup = await startHangup({ livekit, settings: { ...SHORTENED_DEFAULTS, ...settings } });
  onTestFinished(() => hangup.stop());
  return hangup;
}

export const webhookUrl = (port: number) => `http://127.0.0.1:${port}/webhooks/livekit`;

export interface Conversation {
  readonly id: string;
  readonly caller: TestParticipant;
  readonly agent: TestParticipant;
  leave(): Promise<void>;
  /** Resolves with both disconnect reasons. */
  readonly disconnected: Promise<readonly string[]>;
  /** True while both participants are connected. */
  isConnected(): boolean;
}

/** Registers a call and joins a caller and an agent to its room. */
export async function startConversation(
  hangup: Hangup,
  livekit: LiveKitUnderTest,
  id: string,
): Promise<Conversation> {
  expect(await hangup.send('POST', '/api/v1/calls', { body: { id } })).toMatchObject({ status: 201 });
  const caller = await livekit.join(id, 'caller');
  const agent = await livekit.join(id, 'agent', { kind: 'agent' });
  let isConnected = true;
  const over = () => {
    isConnected = false;
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
    isConnected: () => isConnected,
  };
}

export async function cancel(hangup: Hangup, id: string): Promise<void> {
  expect(await hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });
}

export async function readCall({ store }: Hangup, id: string) {
  const record = await store.findCall(id);
  if (record === null) throw new Error(`call not found: ${id}`);
  return record;
}

export const statusOf = async (hangup: Hangup, id: string) => (await readCall(hangup, id)).call.status;

export const isDeletionComplete = async (hangup: Hangup, id: string) =>
  (await readCall(hangup, id)).deletion?.state === 'completed';

/** Collects measurements and prints them after the tests of the file. */
export function startMeasuring(): {
  measure(duration: string, sinceMs: number): void;
  measured(line: string): void;
} {
  const lines: string[] = [];
  afterAll(() => {
    process.stdout.write(`\nmeasured on the real server:\n${lines.map((line) => `  ${line}\n`).join('')}`);
  });
  return {
    measure: (duration, sinceMs) =>
      void lines.push(`${duration}: ${Math.round(performance.now() - sinceMs)} ms`),
    measured: (line) => void lines.push(line),
  };
}
