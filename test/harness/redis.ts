import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { kill } from './livekit.ts';
import { freePorts } from './ports.ts';
import { WAIT } from './time.ts';

export interface Redis {
  /** host:port */
  readonly address: string;
  /** Returns the id of the node that has a room. */
  nodeOf(roomName: string): Promise<string>;
  stop(): Promise<void>;
}

/** Starts redis-server from PATH on a free port, without persistence. */
export async function startRedis(): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), 'hangup-redis-'));
  const [port = 0] = await freePorts(1);
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const redis = spawn('redis-server', args, { stdio: 'ignore' });
  await once(redis, 'spawn');
  await vi.waitFor(() => connectOnce(port), WAIT);
  return {
    address: `127.0.0.1:${port}`,
    // LiveKit stores the node of each room here (pkg/routing/redisrouter.go).
    nodeOf: (roomName) => sendCommand(port, ['HGET', 'room_node_map', roomName]),
    async stop() {
      await kill(redis);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends a command and returns the string in its response. */
async function sendCommand(port: number, words: readonly string[]): Promise<string> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  const command = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
  socket.write(`*${words.length}\r\n${command}`);
  const [response] = await once(socket, 'data');
  socket.destroy();
  return /^\$\d+\r\n(.*)\r\n$/s.exec(String(response))?.[1] ?? '';
}

/** @throws if nothing listens on the port */
async function connectOnce(port: number): Promise<void> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
