import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/**
 * When a connection breaks at a COMMIT: before Postgres receives it, after that, or after Postgres has committed. `never`: the
 * COMMIT passes.
 */
export type BreakMoment = 'never' | 'before' | 'sent' | 'committed';

const LENGTH = Buffer.from([0, 0, 0, 11]);
/** The message of the protocol, and its response. */
const REQUEST = Buffer.concat([Buffer.from('Q'), LENGTH, Buffer.from('COMMIT\0')]);
const RESPONSE = Buffer.concat([Buffer.from('C'), LENGTH, Buffer.from('COMMIT\0')]);
/** Longer than Postgres needs to run the statements before a COMMIT. */
const RUN_MS = 20;

/**
 * Forwards connections to Postgres, and breaks them at a COMMIT. Returns the URL of the same database.
 * @param decide is called for each COMMIT
 * @param onBroken is called when a connection breaks, before hangup can notice it
 */
export async function startCommitForwarder(
  databaseUrl: string,
  decide: () => BreakMoment,
  onBroken: () => void = () => {},
): Promise<string> {
  const { hostname, port } = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let moment: BreakMoment = 'never';
    const breakNow = () => {
      onBroken();
      client.destroy();
      // Postgres first reads all that was sent.
      upstream.end();
    };
    client.on('data', (chunk: Buffer) => {
      if (moment !== 'never') return;
      const at = chunk.indexOf(REQUEST);
      if (at >= 0) moment = decide();
      upstream.write(moment === 'before' ? chunk.subarray(0, at) : chunk);
      if (moment === 'before') setTimeout(breakNow, RUN_MS);
      if (moment === 'sent') breakNow();
    });
    upstream.on('data', (chunk: Buffer) => {
      if (moment === 'committed' && chunk.includes(RESPONSE)) breakNow();
      else if (moment !== 'sent' && !client.destroyed) client.write(chunk);
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        if (other === client || moment === 'never') other.destroy();
      });
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const forwarded = new URL(databaseUrl);
  forwarded.port = String((server.address() as AddressInfo).port);
  return forwarded.href;
}
