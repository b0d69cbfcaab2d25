/*
 * The load generator. Writes prepared requests to raw sockets and reads no more of an answer than its status and length.
 * An HTTP client would need more CPU time than the servers under test.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { answerParent } from './parent.ts';
import { ResponseReader } from './response-reader.ts';

const SILENCE_LIMIT_MS = 30_000;

const Run = z.object({
  port: z.number(),
  file: z.string(),
  from: z.number(),
  isRepeatable: z.boolean(),
  connections: z.number(),
  seconds: z.number(),
  perSecond: z.number().optional(),
  atLeast: z.number().default(0),
});

const files = new Map<string, Buffer[]>();

function readRequests(file: string): Buffer[] {
  const known = files.get(file);
  if (known !== undefined) return known;
  const bytes = readFileSync(file);
  const requests: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    requests.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  files.set(file, requests);
  return requests;
}

async function run(load: z.infer<typeof Run>) {
  const requests = readRequests(load.file);
  const sockets = await Promise.all(
    Array.from({ length: load.connections }, async () => {
      const socket = connect({ port: load.port, host: '127.0.0.1', noDelay: true });
      await once(socket, 'connect');
      return socket;
    }),
  );
  const latenciesMs: number[] = [];
  const statuses: Record<string, number> = {};
  const done = Promise.withResolvers<void>();
  const silence = setTimeout(() => done.reject(new Error('no answer for 30 s')), SILENCE_LIMIT_MS);
  const cpuBefore = process.cpuUsage();
  const beganAt = performance.now();
  const endAt = beganAt + load.seconds * 1_000;
  let sent = 0;
  let answered = 0;
  let lastAt = beganAt;
  /** Requests before the second one of any connection. A server may accept one connection in each turn of its event loop. */
  let firstCount = 0;

  const take = (): Buffer | undefined => {
    const index = load.from + sent;
    const request = requests[load.isRepeatable ? index % requests.length : index];
    if (request !== undefined) sent += 1;
    return request;
  };
  const idle: ((sentAt: number) => boolean)[] = [];
  const openClient = (socket: Socket) => {
    const reader = new ResponseReader();
    let sentAt = 0;
    const send = (at: number): boolean => {
      const request = take();
      if (request === undefined) return false;
      sentAt = at;
      socket.write(request);
      return true;
    };
    socket.on('data', (chunk: Buffer) => {
      const status = reader.read(chunk);
      if (status === null) return;
      lastAt = performance.now();
      latenciesMs.push(lastAt - sentAt);
      statuses[status] = (statuses[status] ?? 0) + 1;
      answered += 1;
      silence.refresh();
      if (load.perSecond !== undefined) {
        idle.push(send);
        return;
      }
      if (answered < firstCount) return;
      for (const next of answered === firstCount ? clients : [send]) {
        if (lastAt < endAt || sent < load.atLeast) next(lastAt);
      }
      if (answered === sent) done.resolve();
    });
    socket.once('error', done.reject);
    socket.once('close', () => done.reject(new Error(`port ${load.port} closed a connection`)));
    return send;
  };
  const clients = sockets.map(openClient);
  try {
    if (load.perSecond === undefined) {
      for (const send of clients) send(performance.now());
      firstCount = sent;
      if (sent === 0) done.resolve();
      await done.promise;
    } else {
      idle.push(...clients);
      await Promise.race([done.promise, pace(load.perSecond)]);
    }
  } finally {
    clearTimeout(silence);
    done.promise.catch(() => {});
    for (const socket of sockets) socket.removeAllListeners('close').destroy();
  }

  /** Latency counts from the planned moment, so a server that pauses cannot hide the requests that wait. */
  async function pace(perSecond: number): Promise<void> {
    let planned = 0;
    while (performance.now() < endAt || answered < sent) {
      const now = performance.now();
      const due = Math.floor(((Math.min(now, endAt) - beganAt) / 1_000) * perSecond);
      for (; planned < due; planned += 1) {
        const send = idle.shift();
        if (send === undefined) break;
        send(beganAt + (planned / perSecond) * 1_000);
      }
      await sleep(1);
    }
  }

  const { user, system } = process.cpuUsage(cpuBefore);
  const seconds = (lastAt - beganAt) / 1_000;
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const latencies = { p50Ms: at(0.5), p99Ms: at(0.99), longestMs: at(1) };
  return { count: answered, seconds, ...latencies, statuses, cpuShare: (user + system) / 1e6 / seconds || 0 };
}

answerParent(0, (message) => run(Run.parse(message)));
