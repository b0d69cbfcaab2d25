import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { freePorts, kill } from './livekit.ts';
import { WAIT } from './time.ts';

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
  await vi.waitFor(() => connectOnce(port), WAIT);
  return {
    address: `127.0.0.1:${port}`,
    // Where LiveKit keeps it (pkg/routing/redisrouter.go).
    nodeOf: (roomName) => sendCommand(port, ['HGET', 'room_node_map', roomName]),
    async stop() {
      await kill(redis);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One command; the answer is a string. */
async function sendCommand(port: number, words: readonly string[]): Promise<string> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  const command = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
  socket.write(`*${words.length}\r\n${command}`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return /^\$\d+\r\n(.*)\r\n$/s.exec(String(answer))?.[1] ?? '';
}

/** @throws when nobody listens on the port */
async function connectOnce(port: number): Promise<void> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
