import { expect } from 'vitest';
import { z } from 'zod';
import { type Hangup, startHangup, type TestSettings } from './hangup.ts';
import { ADOPTED_PREFIXES, type PhoneNetwork, startPhoneNetwork } from './phones.ts';
import { freePorts } from './ports.ts';
import { poll } from './time.ts';

/* Real phone calls, observed through hangup's API. */

const time = z.iso.datetime().transform(Date.parse);
const CallDetails = z.object({
  status: z.string(),
  direction: z.string(),
  phoneNumber: z.string().nullable(),
  roomName: z.string(),
  duration: z.number().nullable(),
  endedAt: time.nullable(),
  failureReason: z.string().nullable(),
  roomDeletion: z.object({ state: z.string() }).nullable(),
});
const AuditEntry = z.object({
  at: time,
  action: z.string(),
  actor: z.string(),
  to: z.string().nullable(),
  reason: z.string().nullable(),
});
const CallResponse = z.object({ data: CallDetails });
const EventsResponse = z.object({ data: z.object({ events: z.array(AuditEntry) }) });
const ListResponse = z.object({ data: z.object({ calls: z.array(z.object({ id: z.string() })) }) });

export interface EndedCall extends z.infer<typeof CallDetails> {
  readonly events: readonly z.infer<typeof AuditEntry>[];
  /** When the call became active; undefined if the call was never active. */
  readonly answeredAt: number | undefined;
}

/** A phone network whose LiveKit sends its webhooks to hangup. */
export class Stage {
  readonly network: PhoneNetwork;
  readonly hangup: Hangup;
  /** The ended calls, as read at the end of their tests. */
  readonly ended = new Map<string, EndedCall>();

  private constructor(network: PhoneNetwork, hangup: Hangup) {
    this.network = network;
    this.hangup = hangup;
  }

  static async start(chosen: TestSettings): Promise<Stage> {
    const [port = 0] = await freePorts(1);
    const network = await startPhoneNetwork({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
    const settings = { port, ...chosen };
    const hangup = await startHangup({ livekit: network.livekit, settings }).catch(async (error) => {
      await network.stop();
      throw error;
    });
    for (const prefix of ADOPTED_PREFIXES) {
      await hangup.store.addAdoptionPrefix({
        prefix,
        organizationName: 'acme',
        organizationIdIfNew: 'org_x',
        now: Date.now(),
      });
    }
    return new Stage(network, hangup);
  }

  async stop(): Promise<void> {
    await this.hangup.stop();
    await this.network.stop();
  }

  /** Registers and places a call, as a platform does. */
  async placeCall(id: string, address: string, options?: Parameters<PhoneNetwork['dial']>[2]): Promise<void> {
    const { status } = await this.hangup.send('POST', '/api/v1/calls', { body: { id } });
    expect(status).toBe(201);
    await this.network.dial(id, address, options);
  }

  /** Joins an agent that publishes audio. */
  async joinAgent(roomName: string) {
    const agent = await this.network.livekit.join(roomName, 'agent', { kind: 'agent' });
    await agent.publishAudio();
    return agent;
  }

  /**
   * Returns the id of the call into which hangup adopted a caller's room.
   * @param earlier ids of the caller's earlier calls
   */
  async findAdoptedCall(callerNumber: string, earlier: readonly string[] = []): Promise<string> {
    const later = async () => (await this.callIdsFrom(callerNumber)).filter((id) => !earlier.includes(id));
    await poll(async () => (await later()).length > 0).toBe(true);
    const ids = await later();
    expect(ids).toHaveLength(1);
    return ids[0] ?? '';
  }

  /** Returns the ids of all calls whose first phone has this number. */
  async callIdsFrom(callerNumber: string): Promise<readonly string[]> {
    const path = `/api/v1/calls?phoneNumber=${encodeURIComponent(callerNumber)}`;
    return ListResponse.parse((await this.hangup.send('GET', path)).body).data.calls.map(({ id }) => id);
  }

  /** Returns the ids of all calls. */
  async callIds(): Promise<readonly string[]> {
    return ListResponse.parse((await this.hangup.send('GET', '/api/v1/calls')).body).data.calls.map(
      ({ id }) => id,
    );
  }

  async find(id: string) {
    return CallResponse.parse((await this.hangup.send('GET', `/api/v1/calls/${id}`)).body).data;
  }

  async waitForStatus(id: string, status: string): Promise<void> {
    await poll(async () => (await this.find(id)).status).toBe(status);
  }

  async readCall(id: string): Promise<EndedCall> {
    const found = await this.find(id);
    const { events } = EventsResponse.parse(
      (await this.hangup.send('GET', `/api/v1/calls/${id}/events`)).body,
    ).data;
    return { ...found, events: events, answeredAt: events.find(({ to }) => to === 'active')?.at };
  }

  /** @returns when the cancel was requested */
  async cancel(id: string): Promise<number> {
    const requestedAt = Date.now();
    expect(await this.hangup.send('DELETE', `/api/v1/calls/${id}`)).toMatchObject({ status: 200 });
    return requestedAt;
  }

  /** Waits until the call has ended and its room is deleted. */
  async waitForEnd(id: string, withinMs?: number): Promise<EndedCall> {
    let ended = await this.readCall(id);
    // All events are read again with the deletion: a late webhook may delete the room once more.
    const deletionState = async () => {
      ended = await this.readCall(id);
      return ended.roomDeletion?.state;
    };
    await poll(deletionState, withinMs === undefined ? {} : { timeout: withinMs }).toBe('completed');
    this.ended.set(id, ended);
    expect(await this.network.livekit.roomNames()).not.toContain(ended.roomName);
    expect(ended.events.filter(({ to }) => to === ended.status)).toHaveLength(1);
    return ended;
  }
}

export const statuses = ({ events }: EndedCall) => events.flatMap(({ to }) => to ?? []);
