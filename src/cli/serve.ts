import { writeSync } from 'node:fs';
import { url as debuggerUrl } from 'node:inspector';
import { format } from 'node:util';
import { startApp } from '../app/app.ts';
import { parseSettings, readSystemd } from '../platform/config.ts';
import { environmentWarnings } from '../platform/environment.ts';
import { createLogger, maskPhoneNumbers } from '../platform/logger.ts';
import { notifySystemd } from '../platform/systemd.ts';
import type { Logger } from '../ports/system.ts';
import { openSandbox } from './sandbox.ts';

/** Serves until SIGTERM or SIGINT; on a terminal until SIGHUP, too. */
export async function serve({
  environment,
  version,
}: {
  environment: Parameters<typeof parseSettings>[0];
  version: string;
}): Promise<void> {
  const settings = parseSettings(environment, 'serve');
  const log = createLogger(settings.logLevel, { isTerminal: process.stdout.isTTY === true });
  logConsole(log);
  outliveItsLog();
  for (const warning of environmentWarnings())
    log.warn({ cause: warning }, 'something is set without effect');
  const stopping = signalled(log, { isTerminal: process.stdout.isTTY === true });
  endOnFaults();
  if (debuggerUrl() !== undefined) {
    log.warn(
      {},
      'the debugger of Node.js is open: every user of this machine may read the secrets; remove --inspect from NODE_OPTIONS',
    );
  }
  const systemd = notifySystemd(readSystemd(environment), {
    onFault: (error) => log.warn({ err: error }, 'systemd is not told: systemd-notify cannot be run'),
  });

  const sandbox = settings.livekit === null ? await openSandbox(settings) : null;
  const livekit = settings.livekit ?? sandbox?.livekit;
  if (livekit === undefined) throw new Error('neither a LiveKit server nor the emulator');
  try {
    const app = await startApp({ settings, livekit, log, version });
    try {
      // Without the user and password that a proxy may want.
      const proxy = livekit.proxy ? { proxy: new URL(livekit.proxy.url).host } : {};
      const { databaseFile: database } = settings;
      log.info({ url: app.url, livekit: livekit.url, ...proxy, database }, 'hangup serves');
      await sandbox?.welcome(app);
      systemd.ready();
      const cause = await Promise.race([stopping, app.lost]);
      if (typeof cause !== 'string') throw cause;
      log.info({ signal: cause }, 'hangup stops');
    } finally {
      systemd.stopping();
      await app.stop();
    }
  } finally {
    await sandbox?.close();
  }
}

/** Where the log goes may be full, or gone: what cannot be said is lost, and calls are cancelled all the same. */
function outliveItsLog(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => {});
}

/** What livekit-server-sdk says on the console goes into the log: standard output has nothing else. */
function logConsole(log: Logger): void {
  const said = (...words: unknown[]) => log.warn({ said: format(...words).slice(0, 500) }, 'a library said');
  Object.assign(console, { debug: said, log: said, info: said, warn: said, error: said });
}

/** A bug that nobody caught: nothing can be relied on any more. What was answered is on disk. */
function endOnFaults(): void {
  const end = (error: unknown) => {
    const err = maskPhoneNumbers(error instanceof Error ? (error.stack ?? error.message) : String(error));
    const line = JSON.stringify({ level: 'fatal', err, msg: 'hangup ends: a fault that nobody caught' });
    try {
      // At once, for the process ends: the log may still hold lines back.
      writeSync(2, `${line}\n`);
    } finally {
      process.exit(1);
    }
  };
  process.on('uncaughtException', end).on('unhandledRejection', end);
}

/** The first signal to stop; the second one ends the process at once. */
function signalled(log: Logger, { isTerminal }: { isTerminal: boolean }): Promise<string> {
  return new Promise((resolve) => {
    let isSecond = false;
    const onSignal = (signal: string) => {
      if (isSecond) process.exit(1);
      isSecond = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
    // Node.js undoes what nohup does. Without a terminal nothing is hung up, and the sender may expect a reload.
    const stays = (signal: string) => log.info({ signal }, 'signal ignored; settings are read at the start');
    process.on('SIGHUP', isTerminal ? onSignal : stays);
    process.on('SIGUSR2', stays);
  });
}
