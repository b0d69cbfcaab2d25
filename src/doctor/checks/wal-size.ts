import { statSync } from 'node:fs';
import type { Finding } from '../finding.ts';

const MEBIBYTE = 1024 ** 2;
/** A running hangup shrinks the -wal to 16 MiB, except during a long read. */
const LARGE_WAL_BYTES = 64 * MEBIBYTE;

/** Returns the bytes of the -wal, 0 when the file does not exist. */
export function inspectWalSize(file: string): number {
  return statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

/** Returns a finding only for a large -wal. */
export function assessWalSize(file: string, walBytes: number): Finding[] {
  if (walBytes <= LARGE_WAL_BYTES) return [];
  return [
    {
      check: 'disk',
      level: 'warning',
      message: `${file}-wal takes ${Math.round(walBytes / MEBIBYTE)} MiB, because a program reads the database without a pause`,
      advice: `stop that program (\`fuser -v ${file}\` lists the programs); hangup then shrinks the -wal within two minutes`,
    },
  ];
}
