import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Room } from '@livekit/rtc-node';
import { AccessToken, RoomServiceClient, type WebhookEvent, WebhookReceiver } from 'livekit-server-sdk';
import {
  type Emulator,
  type EmulatorOptions,
  type GrantedPermission,
  startEmulator,
} from '../../src/emulator/emulator.ts';
import { freePort, freePorts } from './ports.ts';

export const API_KEY = 'devkey';
export const API_SECRET = 'secretsecretsecretsecretsecretsecret';

export interface TestParticipant {
  readonly identity: string;
  /** Resolves with LiveKit's disconnect reason, such as ROOM_DELETED. */
  readonly disconnected: Promise<string>;
  publishAudio(): Promise<void>;
  leave(): Promise<void>;
}

interface JoinOptions {
  /** The kind in the token; a standard participant by default. */
  readonly kind?: 'agent' | 'egress' | 'ingress' | 'sip' | 'connector' | 'bridge';
  readonly permission?: Pick<GrantedPermission, 'canPublish' | 'hidden' | 'recorder' | 'agent'>;
}

export interface LiveKitUnderTest {
  readonly kind: 'emulator' | 'real';
  readonly url: string;
  readonly apiKey: string;
  readonly apiSecret: string;
  readonly emulator?: Emulator;
  join(roomName: string, identity: string, options?: JoinOptions): Promise<TestParticipant>;
  roomNames(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface LiveKitOptions {
  readonly webhookUrls?: readonly string[];
}

/** Starts the emulator, or the real livekit-server that LIVEKIT_SERVER names. */
export async function startLiveKit(options: LiveKitOptions = {}): Promise<LiveKitUnderTest> {
  const binary = process.env.LIVEKIT_SERVER;
  return binary === undefined || binary === '' ? startEmulated(options) : startReal(binary, options);
}

const KINDS = {
  agent: 'AGENT',
  egress: 'EGRESS',
  ingress: 'INGRESS',
  sip: 'SIP',
  connector: 'CONNECTOR',
  bridge: 'BRIDGE',
} as const;

/** Starts the emulator, also when LIVEKIT_SERVER is set. Its port stays free while it is paused. */
export async function startEmulated(
  options: Partial<EmulatorOptions>,
): Promise<LiveKitUnderTest & { readonly emulator: Emulator }> {
  // LiveKit needs 3 s, longer than the deadlines of most tests.
  const quick = { deadNodeDelayMs: 20 };
  const port = await freePort();
  const emulator = await startEmulator({
    apiKey: API_KEY,
    apiSecret: API_SECRET,
    port,
    ...quick,
    ...options,
  });
  return {
    kind: 'emulator',
    url: emulator.url,
    apiKey: API_KEY,
    apiSecret: API_SECRET,
    emulator,
    async join(roomName, identity, { kind, permission } = {}) {
      const participant = emulator.join(roomName, {
        identity,
        kind: kind === undefined ? 'STANDARD' : KINDS[kind],
        ...(permission !== undefined && { permission }),
      });
      return {
        identity,
        disconnected: participant.disconnected,
        publishAudio: async () => participant.publishAudio(),
        leave: async () => participant.leave(),
      };
    },
    roomNames: async () => emulator.roomNames(),
    stop: () => emulator.stop(),
  };
}

/** A real livekit-server that can be stopped, killed and restarted on its ports. */
export interface LiveKitNode extends LiveKitUnderTest {
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  kill(): Promise<void>;
  /** Restarts the server on the same ports. */
  start(): Promise<void>;
}

/** @param redisAddress host:port; servers with the same Redis form one LiveKit that livekit-sip can reach */
export async function startReal(
  binary: string,
  { webhookUrls = [], redisAddress }: LiveKitOptions & { readonly redisAddress?: string },
): Promise<LiveKitNode> {
  const folder = await mkdtemp(join(tmpdir(), 'hangup-livekit-'));
  const [port, tcpPort, udpPort, stunPort] = await freePorts(4);
  const configFile = join(folder, 'livekit.yaml');
  const logFile = join(folder, 'livekit.log');
  // JSON is YAML. Without a local STUN server the clients would get public ones.
  const config = {
    port,
    bind_addresses: ['127.0.0.1'],
    rtc: {
      tcp_port: tcpPort,
      udp_port: udpPort,
      node_ip: '127.0.0.1',
      use_external_ip: false,
      enable_loopback_candidate: true,
      stun_servers: [`127.0.0.1:${stunPort}`],
    },
    keys: { [API_KEY]: API_SECRET },
    webhook: { api_key: API_KEY, urls: webhookUrls },
    ...(redisAddress !== undefined && { redis: { address: redisAddress } }),
  };
  await writeFile(configFile, JSON.stringify(config));
  const url = `http://127.0.0.1:${port}`;
  const client = new RoomServiceClient(url, API_KEY, API_SECRET, { requestTimeout: 5, failover: false });
  let server: ChildProcess | null = null;
  const killServer = async () => {
    if (server !== null) await kill(server);
  };
  const stop = async () => {
    await killServer();
    await rm(folder, { recursive: true, force: true });
  };
  async function start(): Promise<void> {
    server = await spawnLogged(binary, ['--config', configFile], logFile);
    if (await waitUntilUp(url, server)) return;
    const log = await readFile(logFile, 'utf8');
    await stop();
    throw new Error(`${binary} did not start:\n${log}`);
  }
  await start();
  return {
    kind: 'real',
    url,
    apiKey: API_KEY,
    apiSecret: API_SECRET,
    join: (roomName, identity, joining) => joinReal(url, roomName, identity, joining),
    roomNames: async () => (await client.listRooms()).map(({ name }) => name),
    signal: (signal) => void server?.kill(signal),
    kill: killServer,
    start,
    stop,
  };
}

export async function joinReal(
  url: string,
  roomName: string,
  identity: string,
  { kind, permission }: JoinOptions = {},
): Promise<TestParticipant> {
  // 33 MB of native code, which only this branch needs.
  const { DisconnectReason, Room, RoomEvent } = await import('@livekit/rtc-node');
  const token = new AccessToken(API_KEY, API_SECRET, { identity });
  token.addGrant({
    roomJoin: true,
    room: roomName,
    ...(kind === 'agent' && { agent: true }),
    ...permission,
  });
  if (kind !== undefined) token.kind = kind;
  const room = new Room();
  const disconnected = new Promise<string>((resolve) => {
    room.once(RoomEvent.Disconnected, (reason) => resolve(DisconnectReason[reason] ?? String(reason)));
  });
  await room.connect(url.replace('http', 'ws'), await token.toJwt(), {
    autoSubscribe: true,
    dynacast: false,
  });
  return {
    identity,
    disconnected,
    publishAudio: () => publishSilence(room),
    leave: () => room.disconnect(),
  };
}

/** Sends silence until the room is left: the server reports a track when its first audio arrives. */
async function publishSilence(room: Room): Promise<void> {
  const { AudioFrame, AudioSource, LocalAudioTrack, RoomEvent, TrackPublishOptions, TrackSource } =
    await import('@livekit/rtc-node');
  const source = new AudioSource(48_000, 1);
  const track = LocalAudioTrack.createAudioTrack('microphone', source);
  await room.localParticipant?.publishTrack(
    track,
    new TrackPublishOptions({ source: TrackSource.SOURCE_MICROPHONE }),
  );
  const frame = new AudioFrame(new Int16Array(480), 48_000, 1, 480);
  const timer = setInterval(() => {
    // Capturing fails after the track has ended.
    source.captureFrame(frame).catch(() => clearInterval(timer));
  }, 10);
  room.once(RoomEvent.Disconnected, () => clearInterval(timer));
}

export async function spawnLogged(binary: string, args: string[], logFile: string): Promise<ChildProcess> {
  const log = await open(logFile, 'w');
  try {
    const server = spawn(binary, args, { stdio: ['ignore', log.fd, log.fd] });
    await once(server, 'spawn');
    return server;
  } finally {
    await log.close();
  }
}

export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Returns false when the process ends or does not respond within ten seconds. */
export async function waitUntilUp(url: string, server: ChildProcess): Promise<boolean> {
  const deadline = Date.now() + 10_000;
  while (Date.now() < deadline && server.exitCode === null) {
    const isUp = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (isUp) return true;
    await sleep(50);
  }
  return false;
}

/** A received and verified webhook, answered with `status`. */
export interface ReceivedWebhook {
  readonly event: WebhookEvent;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly status: number;
  readonly receivedAtMs: number;
}

export interface WebhookInbox {
  readonly url: string;
  /** Returns the webhooks of one room so far, in the order of arrival. */
  webhooksOf(roomName: string): readonly ReceivedWebhook[];
  /** Sets the statuses for a room's next webhooks; later ones get 200. */
  respondNext(roomName: string, ...statuses: number[]): void;
  /** Resolves once a room's webhooks satisfy the condition, with all of them. */
  waitFor(
    roomName: string,
    condition: (webhooks: readonly ReceivedWebhook[]) => boolean,
  ): Promise<readonly ReceivedWebhook[]>;
  /** Webhooks that failed verification, which are answered 401. */
  readonly refused: readonly string[];
  close(): Promise<void>;
}

/** Receives LiveKit's webhooks and verifies them with the SDK's receiver. */
export async function openWebhookInbox(): Promise<WebhookInbox> {
  const receiver = new WebhookReceiver(API_KEY, API_SECRET);
  const received: ReceivedWebhook[] = [];
  const refused: string[] = [];
  const answers = new Map<string, number[]>();
  const waiting = new Set<() => void>();
  const webhooksOf = (roomName: string) => received.filter(({ event }) => event.room?.name === roomName);

  const server = createHttpServer(async (request, response) => {
    try {
      const body = Buffer.concat(await request.toArray()).toString();
      const event = await receiver.receive(body, request.headers.authorization);
      const status = answers.get(event.room?.name ?? '')?.shift() ?? 200;
      received.push({ event, headers: request.headers, body, status, receivedAtMs: Date.now() });
      response.writeHead(status).end();
      for (const check of [...waiting]) check();
    } catch (error) {
      refused.push(String(error));
      response.writeHead(401).end();
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/livekit`,
    webhooksOf,
    refused,
    respondNext: (roomName, ...statuses) => void answers.set(roomName, statuses),
    waitFor(roomName, condition) {
      const { promise, resolve } = Promise.withResolvers<readonly ReceivedWebhook[]>();
      const check = () => {
        const webhooks = webhooksOf(roomName);
        if (!condition(webhooks)) return;
        waiting.delete(check);
        resolve(webhooks);
      };
      waiting.add(check);
      check();
      return promise;
    },
    async close() {
      server.closeAllConnections();
      await once(server.close(), 'close');
    },
  };
}
