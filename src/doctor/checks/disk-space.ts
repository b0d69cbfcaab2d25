import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Finding } from '../finding.ts';

const GIBIBYTE = 1024 ** 3;
const LOW_DISK_BYTES = GIBIBYTE;
const CRITICAL_DISK_BYTES = 0.1 * GIBIBYTE;

/** Returns the free bytes of the file's disk. */
export function inspectDiskSpace(file: string): number {
  const { bavail, bsize } = statfsSync(dirname(file));
  return bavail * bsize;
}

export function assessDiskSpace(freeBytes: number): Finding {
  const check = 'disk';
  const message = `the disk of the database has ${(freeBytes / GIBIBYTE).toFixed(1)} GiB free`;
  if (freeBytes >= LOW_DISK_BYTES) return { check, level: 'ok', message };
  return {
    check,
    level: freeBytes < CRITICAL_DISK_BYTES ? 'failure' : 'warning',
    message,
    advice: 'free disk space: on a full disk hangup cannot store a cancel, and responds with HTTP 500',
  };
}
