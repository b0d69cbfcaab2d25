import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Emulator } from '../src/emulator/emulator.ts';

const MAIN = resolve(import.meta.dirname, '../src/main.ts');
const NODE = ['--import', import.meta.resolve('tsx'), MAIN] as const;

export interface RunningHangup {
  readonly url: string;
  /** An API key with all scopes. */
  readonly key: string;
  readonly process: ChildProcess;
  /** Creates another API key. @param scope the only scope; by default all scopes */
  createKey(options: { readonly org?: string; readonly scope?: string }): string;
}

/** Starts hangup from source on an emulator, with a new database in `folder`. @param settings more settings */
export async function startEmulatedHangup(
  livekit: Emulator,
  credentials: { readonly apiKey: string; readonly apiSecret: string },
  folder: string,
  settings: NodeJS.ProcessEnv = {},
): Promise<RunningHangup> {
  const env = {
    ...process.env,
    NODE_ENV: 'production',
    DATABASE_URL: `file:${join(folder, 'hangup.db')}`,
    LIVEKIT_URL: livekit.url,
    LIVEKIT_API_KEY: credentials.apiKey,
    LIVEKIT_API_SECRET: credentials.apiSecret,
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'info',
    // A suite sends more requests in a minute than a usual client.
    RATE_LIMIT_CALLS: '0',
    RATE_LIMIT_CANCELS: '0',
    RATE_LIMIT_ANONYMOUS: '0',
    ...settings,
  };
  const createKey: RunningHangup['createKey'] = ({ org = 'acme', scope }) => {
    const command = ['keys', 'create', '--org', org, '--name', 'clients', '--json'];
    if (scope !== undefined) command.push('--scope', scope);
    const created = execFileSync(process.execPath, [...NODE, ...command], {
      env,
      cwd: folder,
      encoding: 'utf8',
    });
    return z.object({ key: z.string() }).parse(JSON.parse(created)).key;
  };
  const key = createKey({});
  const child = spawn(process.execPath, [...NODE, 'serve'], {
    env,
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolveUrl, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const listeningUrl = /"url":"([^"]+)"/.exec(line)?.[1];
      if (listeningUrl !== undefined) resolveUrl(listeningUrl);
    });
    child.once('exit', (code) => reject(new Error(`hangup exited with ${code}`)));
  });
  return { url, key, process: child, createKey };
}
