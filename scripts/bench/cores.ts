import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** The cores of the server and of everything else. */
export interface Cores {
  readonly server: number;
  readonly load: number;
}

/** Returns the cores to use; null with one core or without taskset. */
export function findCores(): Cores | null {
  if (availableParallelism() < 2) return null;
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
    return { server: 0, load: 1 };
  } catch {
    return null;
  }
}
