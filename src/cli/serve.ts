import { writeSync } from 'node:fs';
import { url as debuggerUrl } from 'node:inspector';
import { format } from 'node:util';
import { startApp } from '../app/app.ts';
import { parseSettings } from '../platform/config.ts';
import { describeDatabase } from '../platform/database-address.ts';
import { environmentWarnings } from '../platform/environment.ts';
import type { EnvironmentVariables } from '../platform/environment-variables.ts';
import { createLogger } from '../platform/logger.ts';
import { maskPhoneNumbers } from '../platform/mask-phone-numbers.ts';
import { notifySystemd, readSystemdSettings } from '../platform/systemd.ts';
import type { Logger } from '../ports/system.ts';
import { errorStack } from './output.ts';
import { openSandbox } from './sandbox.ts';

/** Serves until SIGTERM or SIGINT, and on a terminal until SIGHUP. */
export async function serve({
  environment,
  version,
}: {
  environment: EnvironmentVariables;
  version: string;
}): Promise<void> {
  const settings = parseSettings(environment, 'server');
  const isTerminal = process.stdout.isTTY === true;
  const log = createLogger(settings.logLevel, { isTerminal });
  redirectConsoleToLogger(log);
  ignoreLogWriteErrors();
  for (const warning of environmentWarnings()) log.warn({ cause: warning }, 'settings warning');
  const stopSignal = waitForSignal(log, { isTerminal });
  exitOnUncaughtError();
  if (debuggerUrl() !== undefined) {
    log.warn(
      {},
      'the Node.js debugger is open and exposes secrets to every user of this machine; remove --inspect from NODE_OPTIONS',
    );
  }
  const systemd = notifySystemd(readSystemdSettings(environment), {
    onError: (error) =>
      log.warn({ err: error }, 'cannot run systemd-notify; systemd receives no notifications'),
  });

  const sandbox = settings.livekit === null ? await openSandbox(settings) : null;
  const livekit = settings.livekit ?? sandbox?.livekit;
  if (livekit === undefined) throw new Error('neither a LiveKit server nor the emulator');
  try {
    const app = await startApp({
      settings,
      livekit,
      ...(sandbox && { sessionSecret: sandbox.sessionSecret }),
      log,
      version,
    });
    try {
      // Logs only the host, because the URL may contain a user and a password.
      const proxy = livekit.proxy ? { proxy: new URL(livekit.proxy.url).host } : {};
      const database = describeDatabase(settings.database);
      log.info({ url: app.url, livekit: livekit.url, ...proxy, database }, 'server started');
      await sandbox?.welcome(app);
      systemd.ready();
      const cause = await Promise.race([stopSignal, app.conflict]);
      if (typeof cause !== 'string') throw cause;
      log.info({ signal: cause }, 'server stopping');
    } finally {
      systemd.stopping();
      await app.stop();
    }
  } finally {
    await sandbox?.close();
  }
}

/** Keeps the server running when the log's pipe is closed or its disk is full. Those log lines are lost. */
function ignoreLogWriteErrors(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.removeAllListeners('error').on('error', () => {});
}

/** Logs what livekit-server-sdk writes to the console, because standard output must contain only log lines. */
function redirectConsoleToLogger(log: Logger): void {
  const logOutput = (...args: unknown[]) =>
    log.warn({ output: format(...args).slice(0, 500) }, 'console output from a dependency');
  Object.assign(console, {
    debug: logOutput,
    log: logOutput,
    info: logOutput,
    warn: logOutput,
    error: logOutput,
  });
}

/** Makes an uncaught error exit the process, whose state is then unknown. Acknowledged requests are already on disk. */
function exitOnUncaughtError(): void {
  const exit = (error: unknown) => {
    const err = maskPhoneNumbers(errorStack(error));
    const line = JSON.stringify({ level: 'fatal', err, msg: 'uncaught error; exiting' });
    try {
      // Synchronous, because the logger may still buffer lines when the process exits.
      writeSync(2, `${line}\n`);
    } finally {
      process.exit(1);
    }
  };
  process.on('uncaughtException', exit).on('unhandledRejection', exit);
}

/** Resolves with the first signal to stop. A second signal exits at once. */
function waitForSignal(log: Logger, { isTerminal }: { isTerminal: boolean }): Promise<string> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onStop = (signal: string) => {
      if (isStopping) process.exit(1);
      isStopping = true;
      resolve(signal);
    };
    process.on('SIGTERM', onStop).on('SIGINT', onStop);
    // Node.js resets nohup's handling of SIGHUP. Without a terminal, the sender may expect a reload.
    const onIgnored = (signal: string) =>
      log.info({ signal }, 'signal ignored; settings are read only at the start');
    process.on('SIGHUP', isTerminal ? onStop : onIgnored);
    process.on('SIGUSR2', onIgnored);
  });
}
