import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { OutboundCall } from '../../src/emulator/emulator.ts';
import { startForwarder } from '../harness/forwarder.ts';
import { type GateRequest, startGate } from '../harness/gate.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { startEmulated } from '../harness/livekit.ts';
import { freePorts } from '../harness/ports.ts';

/*
 * The LiveKit agent of clients/examples in the job process of LiveKit Agents, with hangup and its emulator. EXAMPLES is the
 * folder of the installed examples. Not part of this test: livekit-server, WebRTC and models.
 */

const AGENT = join(process.env.EXAMPLES ?? '', 'livekit-agent');
const JOB_PROCESS = join(AGENT, 'node_modules/@livekit/agents/dist/ipc/job_proc_lazy_main.js');
const PHONE = '+15551234567';

const Message = z.object({ case: z.string(), value: z.unknown().optional() });
const Exit = z.object({ reason: z.string() });
const DialRequest = z.object({
  sipTrunkId: z.literal('ST_test'),
  sipCallTo: z.string(),
  roomName: z.string(),
  participantIdentity: z.string(),
  waitUntilAnswered: z.literal(true),
});

interface World {
  readonly hangup: Hangup;
  /** Outbound calls of the SIP service. */
  readonly dialed: readonly OutboundCall[];
  readonly env: Readonly<Record<string, string>>;
  /** Makes hangup unreachable for the agent. */
  disconnectHangup(): void;
}

/** Starts hangup, the emulator with webhooks, and a SIP service that dials in the emulator. */
async function start(): Promise<World> {
  const [port = 0] = await freePorts(1);
  const livekit = await startEmulated({ webhookUrls: [`http://127.0.0.1:${port}/webhooks/livekit`] });
  onTestFinished(() => livekit.stop());
  const hangup = await startHangup({ livekit, settings: { port } });
  onTestFinished(() => hangup.stop());
  const dialed: OutboundCall[] = [];
  const sip = createServer(async (request, response) => {
    expect(request.url).toBe('/twirp/livekit.SIP/CreateSIPParticipant');
    const { sipCallTo, roomName, participantIdentity } = DialRequest.parse(JSON.parse(await text(request)));
    const phone = livekit.emulator.dialOut(roomName, {
      identity: participantIdentity,
      phoneNumber: sipCallTo,
    });
    dialed.push({
      ...phone,
      answer: () => {
        phone.answer();
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ participantIdentity, roomName, sipCallId: 'SCL_test' }));
      },
    });
    const reason = await phone.disconnected;
    // Without a response after a deletion, only the events can end a job that dials.
    if (reason === 'ROOM_DELETED' || response.headersSent) return;
    response.writeHead(503, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ code: 'unavailable', msg: reason }));
  });
  sip.listen(0, '127.0.0.1');
  await once(sip, 'listening');
  onTestFinished(() => {
    sip.close();
    sip.closeAllConnections();
  });
  const address = sip.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const forwarder = await startForwarder(hangup.url);
  const disconnectHangup = () => {
    forwarder.forwardTo('http://127.0.0.1:1');
    forwarder.cut();
  };
  const env = {
    PATH: process.env.PATH ?? '',
    HANGUP_URL: forwarder.url,
    HANGUP_API_KEY: await hangup.createKey('acme', ['calls:read', 'calls:write']),
    LIVEKIT_URL: `http://127.0.0.1:${address.port}`,
    LIVEKIT_API_KEY: livekit.apiKey,
    LIVEKIT_API_SECRET: livekit.apiSecret,
    SIP_TRUNK_ID: 'ST_test',
  };
  return { hangup, dialed, env, disconnectHangup };
}

interface Job {
  readonly process: ChildProcess;
  /** Whether the conversation has started. */
  isTalking(): boolean;
  /** Resolves with the reason when the job process has ended by itself. */
  readonly ended: Promise<string>;
}

/** Starts a job as the worker of LiveKit Agents does. The framework skips the connection of a fake job to its room. */
async function startJob(
  { env }: Pick<World, 'env'>,
  {
    file = 'job.ts',
    id = 'AJ_1',
    roomName = 'room-1',
    metadata = JSON.stringify({ phoneNumber: PHONE }),
  } = {},
): Promise<Job> {
  const child = fork(JOB_PROCESS, [join(AGENT, 'src', file)], { env, execArgv: [] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let isTalking = false;
  let reason = 'no reason';
  const ready = new Promise<void>((resolve) => {
    child.on('message', (received) => {
      const message = Message.parse(received);
      if (message.case === 'initializeResponse') resolve();
      if (message.case === 'conversation') isTalking = true;
      if (message.case === 'exiting') reason = Exit.parse(message.value).reason;
    });
  });
  const ended = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`the job process exited with ${code}: ${reason}`);
    return reason;
  });
  const loggerOptions = { pretty: false, level: 'silent' };
  child.send({ case: 'initializeRequest', value: { loggerOptions, sessionEndTimeout: 10_000 } });
  await Promise.race([ready, ended]);
  const runningJob = {
    acceptArguments: { name: 'agent', identity: 'agent', metadata: '' },
    job: {
      id,
      room: { name: roomName, sid: 'RM_1' },
      metadata,
      agentName: 'outbound-caller',
      attributes: {},
    },
    url: 'ws://127.0.0.1:1',
    token: '',
    workerId: 'AW_1',
    fakeJob: true,
  };
  child.send({ case: 'startJobRequest', value: { runningJob } });
  return { process: child, isTalking: () => isTalking, ended };
}

const Calls = z.object({
  data: z.object({ calls: z.array(z.object({ id: z.string(), status: z.string() })) }),
});

async function listCalls({ hangup }: World) {
  const { body } = await hangup.send('GET', '/api/v1/calls');
  return Calls.parse(body).data.calls;
}

/** Waits until the phone of the only call rings, and returns the phone and the call's id. */
async function waitForDial(world: World): Promise<{ phone: OutboundCall; callId: string }> {
  await expect.poll(() => world.dialed.length).toBe(1);
  const [phone] = world.dialed;
  const [call] = await listCalls(world);
  if (phone === undefined || call === undefined)
    throw new Error('the phone is dialed without a registered call');
  phone.ring();
  return { phone, callId: call.id };
}

const cancel = async ({ hangup }: World, callId: string) =>
  expect((await hangup.send('DELETE', `/api/v1/calls/${callId}`)).status).toBe(200);

test('the agent registers its call before it dials, and stops when the ringing call is cancelled', async () => {
  const world = await start();
  const job = await startJob(world, { file: 'agent.ts' });
  const { phone, callId } = await waitForDial(world);
  expect((await world.hangup.send('GET', `/api/v1/calls/${callId}`)).body).toMatchObject({
    data: {
      agent: { id: 'outbound-caller' },
      roomName: 'room-1',
      phoneNumber: PHONE,
      jobId: 'AJ_1',
      direction: 'outbound',
    },
  });
  await cancel(world, callId);
  expect(await phone.disconnected).toBe('ROOM_DELETED');
  expect(await job.ended).toBe('the call is cancelled');
  expect(world.dialed).toHaveLength(1);
});

describe('the agent stops its conversation', () => {
  test('when the call is cancelled', async () => {
    const world = await start();
    const job = await startJob(world);
    const { phone, callId } = await waitForDial(world);
    phone.answer();
    await expect.poll(job.isTalking).toBe(true);
    await cancel(world, callId);
    expect(await phone.disconnected).toBe('ROOM_DELETED');
    expect(await job.ended).toBe('the call is cancelled');
  });

  test('when an operator stops all calls of the agent', async () => {
    const world = await start();
    const job = await startJob(world);
    const { phone } = await waitForDial(world);
    phone.answer();
    await expect.poll(job.isTalking).toBe(true);
    const body = { filter: { agentId: 'outbound-caller' }, reason: 'wrong advice' };
    expect((await world.hangup.send('POST', '/api/v1/cancellations', { body })).status).toBe(202);
    expect(await job.ended).toBe('the call is cancelled');
  });

  test('when the room is deleted while hangup is unreachable', async () => {
    const world = await start();
    const job = await startJob(world);
    const { phone } = await waitForDial(world);
    phone.answer();
    await expect.poll(job.isTalking).toBe(true);
    world.disconnectHangup();
    job.process.send('close the room');
    expect(await job.ended).toMatch(/^(?:the room is closed|room disconnected)$/);
  });

  test('when the phone hangs up', async () => {
    const world = await start();
    const job = await startJob(world);
    const { phone } = await waitForDial(world);
    phone.answer();
    await expect.poll(job.isTalking).toBe(true);
    phone.hangUp();
    expect(await job.ended).toBe('the call is completed');
  });
});

test('the agent ends its job without a conversation when the phone is busy', async () => {
  const world = await start();
  const job = await startJob(world);
  const { phone } = await waitForDial(world);
  phone.busy();
  expect(await job.ended).toMatch(/^(?:the call is busy|the phone did not answer: .*)$/);
  expect(job.isTalking()).toBe(false);
});

describe('the agent does not dial', () => {
  test('when the call was cancelled after its registration', async () => {
    const world = await start();
    const body = { agentId: 'outbound-caller', roomName: 'room-1', phoneNumber: PHONE, jobId: 'AJ_1' };
    // The registration of the job, repeated by the job itself.
    const headers = { 'idempotency-key': 'AJ_1' };
    expect((await world.hangup.send('POST', '/api/v1/calls', { body, headers })).status).toBe(201);
    const [call] = await listCalls(world);
    await cancel(world, call?.id ?? '');
    // The event of the cancel is late.
    const pass = ({ path }: GateRequest) =>
      path.startsWith('/api/v1/events') ? new Promise<void>(() => {}) : Promise.resolve();
    const HANGUP_URL = await startGate(world.hangup.url, pass);
    const job = await startJob({ env: { ...world.env, HANGUP_URL } });
    expect(await job.ended).toBe('the call is cancelled');
    expect(world.dialed).toEqual([]);
  });

  test('when a hold refuses the call', async () => {
    const world = await start();
    const body = { filter: { agentId: 'outbound-caller' }, reason: 'wrong advice', hold: true };
    expect((await world.hangup.send('POST', '/api/v1/cancellations', { body })).status).toBe(202);
    const job = await startJob(world);
    expect(await job.ended).toBe('job crashed');
    expect(world.dialed).toEqual([]);
    expect(await listCalls(world)).toEqual([]);
  });

  test('when the key is wrong', async () => {
    const world = await start();
    const job = await startJob({ env: { ...world.env, HANGUP_API_KEY: 'wrong' } });
    expect(await job.ended).toBe('job crashed');
    expect(world.dialed).toEqual([]);
  });

  test('when the metadata has no phone number', async () => {
    const world = await start();
    const job = await startJob(world, { metadata: '{}' });
    expect(await job.ended).toBe('job crashed');
    expect(world.dialed).toEqual([]);
    expect(await listCalls(world)).toEqual([]);
  });
});
