import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { Cores } from './cores.ts';
import { type Program, startProgram } from './processes.ts';

export const Report = z.object({
  /** Requests sent; each was answered. */
  count: z.number(),
  seconds: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  longestMs: z.number(),
  /** Answers by HTTP status. */
  statuses: z.record(z.string(), z.number()),
  /** The generator's CPU time during the run, as a share of one core. */
  cpuShare: z.number(),
});
export type Report = z.infer<typeof Report>;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Requests in a file, ready to be written to a socket. */
export class RequestFile {
  readonly file: string;
  readonly isRepeatable: boolean;
  readonly length: number;
  /** The first request that was not sent yet. */
  next = 0;

  /** @param isRepeatable the generator begins again after the last request; otherwise it sends each request once */
  constructor(file: string, requests: readonly HttpRequest[], { isRepeatable }: { isRepeatable: boolean }) {
    this.file = file;
    this.isRepeatable = isRepeatable;
    this.length = requests.length;
    const parts: Buffer[] = [];
    for (const request of requests) {
      const bytes = toBytes(request);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      parts.push(length, bytes);
    }
    writeFileSync(file, Buffer.concat(parts));
  }
}

function toBytes({ method, path, headers, body = '' }: HttpRequest): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}\r\n`);
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${lines.join('')}\r\n${body}`);
}

export interface Load {
  readonly port: number;
  readonly requests: RequestFile;
  readonly connections: number;
  readonly seconds: number;
  /** Sends at this rate instead of as fast as the server answers. */
  readonly perSecond?: number;
  /** Number of requests to send at least, also after the time. */
  readonly atLeast?: number;
  /** Sends every request of the file once, and then ends. Otherwise a file without requests left is an error. */
  readonly isComplete?: boolean;
  /** The expected HTTP status of each answer; default 200. */
  readonly status?: number;
}

/** A process that sends requests over keep-alive connections and measures the answers. */
export interface Generator extends AsyncDisposable {
  /** @throws unless every answer has the expected status */
  run(load: Load): Promise<Report>;
  /** The largest share of its core that the generator used so far. */
  readonly peakCpuShare: number;
}

export async function startGenerator(cores: Cores | null): Promise<Generator> {
  const program: Program<Report> = await startProgram('generator', {
    core: cores?.load ?? null,
    answer: Report,
  });
  let peakCpuShare = 0;
  return {
    get peakCpuShare() {
      return peakCpuShare;
    },
    async run({ requests, status = 200, isComplete = false, ...load }) {
      const { file, isRepeatable, next } = requests;
      const report = await program.request({ ...load, file, isRepeatable, from: next });
      requests.next += report.count;
      peakCpuShare = Math.max(peakCpuShare, report.cpuShare);
      if (!isRepeatable && requests.next === requests.length && !isComplete) {
        throw new Error(`the load used all ${requests.length} requests of ${file}: seed more`);
      }
      if (report.statuses[status] !== report.count) {
        throw new Error(`wrong answers from port ${load.port}: ${JSON.stringify(report.statuses)}`);
      }
      return report;
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
