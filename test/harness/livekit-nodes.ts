import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RoomServiceClient } from 'livekit-server-sdk';
import { until } from './hangup.ts';
import {
  API_KEY,
  API_SECRET,
  answers,
  freePorts,
  joinReal,
  kill,
  type LiveKitUnderTest,
  spawnLogged,
} from './livekit.ts';

/** A real livekit-server that can be stopped, killed and started again where it was. */
export interface LiveKitNode extends LiveKitUnderTest {
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  kill(): Promise<void>;
  /** On the same ports. */
  start(): Promise<void>;
}

/** @param redisAddress host:port; nodes with the same one are one LiveKit */
export async function startNode({
  webhookUrls = [],
  redisAddress,
}: {
  webhookUrls?: readonly string[];
  redisAddress?: string;
}): Promise<LiveKitNode> {
  const binary = process.env.LIVEKIT_SERVER;
  if (!binary) throw new Error('LIVEKIT_SERVER must name the livekit-server binary');
  const folder = await mkdtemp(join(tmpdir(), 'hangup-livekit-'));
  const [port, tcpPort, udpPort, stunPort] = await freePorts(4);
  const configFile = join(folder, 'livekit.yaml');
  const logFile = join(folder, 'livekit.log');
  // JSON is YAML. Without a STUN server of our own the clients would be given public ones.
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
  let node: ChildProcess | null = null;

  async function start(): Promise<void> {
    node = await spawnLogged(binary ?? '', ['--config', configFile], logFile);
    if (await answers(url, node)) return;
    throw new Error(`${binary} did not start:\n${await readFile(logFile, 'utf8')}`);
  }

  await start();
  return {
    kind: 'real',
    url,
    apiKey: API_KEY,
    apiSecret: API_SECRET,
    join: (roomName, identity, joining) => joinReal(url, roomName, identity, joining),
    roomNames: async () => (await client.listRooms()).map(({ name }) => name),
    signal: (signal) => void node?.kill(signal),
    kill: async () => {
      if (node !== null) await kill(node);
    },
    start,
    async stop() {
      if (node !== null) await kill(node);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface Redis {
  /** host:port */
  readonly address: string;
  /** The id of the node that has a room. */
  nodeOf(roomName: string): Promise<string>;
  stop(): Promise<void>;
}

/** redis-server from PATH, on a free port, with nothing kept. */
export async function startRedis(): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'hangup-redis-'));
  const [port = 0] = await freePorts(1);
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const redis = spawn('redis-server', args, { stdio: 'ignore' });
  await once(redis, 'spawn');
  await until('redis-server listens', () => listens(port));
  return {
    address: `127.0.0.1:${port}`,
    // Where LiveKit keeps it (pkg/routing/redisrouter.go).
    nodeOf: (roomName) => ask(port, ['HGET', 'room_node_map', roomName]),
    async stop() {
      await kill(redis);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One command; the answer is a string. */
async function ask(port: number, words: readonly string[]): Promise<string> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  const command = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
  socket.write(`*${words.length}\r\n${command}`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return /^\$\d+\r\n(.*)\r\n$/s.exec(String(answer))?.[1] ?? '';
}

function listens(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection({ port, host: '127.0.0.1' }, () => resolve(true)).once('error', () =>
    resolve(false),
  );
  return promise.finally(() => socket.destroy());
}
