import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { openPostgresStore } from '../../src/store/postgres/postgres-store.ts';
import { postgresDatabase } from '../harness/postgres.ts';
import { hasPostgres } from '../harness/postgres-server.ts';

/** The message of Postgres that ends the start of a connection. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** Forwards connections to a server. While the network is silent, a new connection starts, and then gets no more bytes. */
async function startNetwork(target: string) {
  const { port, hostname } = new URL(target);
  let isSilent = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    sockets.add(client).add(upstream);
    let isStarted = false;
    upstream.on('data', (bytes: Buffer) => {
      if (isSilent && isStarted) return;
      client.write(bytes);
      isStarted ||= bytes.includes(READY);
    });
    client.pipe(upstream);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  onTestFinished(() => {
    server.close();
    cut();
  });
  return {
    url: target.replace(`:${port}`, `:${(server.address() as AddressInfo).port}`),
    cut,
    setSilent(value: boolean) {
      isSilent = value;
    },
  };
}

describe.skipIf(!hasPostgres())('a network that loses the packets of new connections', () => {
  test('delays no read or write without end, and hangup continues after it', async () => {
    const network = await startNetwork(await postgresDatabase());
    const store = await openPostgresStore({ url: network.url });
    onTestFinished(() => store.close());
    network.setSilent(true);
    network.cut();
    const startedAt = performance.now();
    const attempts = Array.from({ length: 20 }, () => [
      store.findCall('x'),
      store.countOpenDeletions(),
    ]).flat();
    for (const end of await Promise.allSettled(attempts)) {
      expect(end).toMatchObject({ reason: expect.any(StoreBusyError) });
    }
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    network.setSilent(false);
    await expect.poll(() => store.findCall('x').catch(() => 'busy')).toBeNull();
  });
});
