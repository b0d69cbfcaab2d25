import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the range of outgoing connections. */
const FIRST_PORT = 21_000;
const PORTS_PER_WORKER = 680;
const MAX_WORKERS = 16;

let nextPort = randomInt(PORTS_PER_WORKER);

/**
 * Returns ports that are free for TCP and UDP and below the range of outgoing connections, which could take a port
 * before a server does. Each worker of vitest has a range of its own, and uses each port once, so no other test takes a
 * port while its server is started or restarted. Holds all ports at once, because they must differ.
 */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, holdPort));
  await Promise.all(held.map(({ release }) => release()));
  return held.map(({ port }) => port);
}

/** Returns one of {@link freePorts}. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1);
  return port;
}

async function holdPort(): Promise<{ readonly port: number; release(): Promise<void> }> {
  const worker = Number(process.env.VITEST_POOL_ID ?? 0) % MAX_WORKERS;
  const port = FIRST_PORT + worker * PORTS_PER_WORKER + nextPort;
  nextPort = (nextPort + 1) % PORTS_PER_WORKER;
  const server = createServer().listen(port, '127.0.0.1');
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  const [tcp, udp] = await Promise.allSettled([once(server, 'listening'), once(socket, 'listening')]);
  const release = async () => {
    await Promise.all([
      tcp.status === 'fulfilled' && once(server.close(), 'close'),
      udp.status === 'fulfilled' && once(socket.close(), 'close'),
    ]);
  };
  if (tcp.status === 'fulfilled' && udp.status === 'fulfilled') return { port, release };
  await release();
  return holdPort();
}
