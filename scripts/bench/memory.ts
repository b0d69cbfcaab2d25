import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 50;

/** The resident memory of a process; `ownMb` is the part that it shares with no file. */
export function readMemory(pid: number): { rssMb: number; ownMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1_024;
  return { rssMb: read('VmRSS'), ownMb: read('RssAnon') };
}

/** Returns the largest resident memory during this time, in MB. */
export async function watchMemory(pid: number, durationMs: number): Promise<number> {
  const endAt = performance.now() + durationMs;
  let peakMb = 0;
  while (performance.now() < endAt) {
    peakMb = Math.max(peakMb, readMemory(pid).rssMb);
    await sleep(POLL_MS);
  }
  return peakMb;
}
