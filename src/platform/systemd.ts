import { spawn } from 'node:child_process';
import type { EnvironmentVariables } from './environment-variables.ts';

/** The variables that systemd sets in the environment of a Type=notify service. */
export interface SystemdSettings {
  readonly notifySocket: string;
  /** Null: the watchdog is off. */
  readonly watchdogMs: number | null;
}

/** Returns systemd's settings; null unless systemd started this process as a Type=notify service. */
export function readSystemdSettings({
  NOTIFY_SOCKET,
  WATCHDOG_USEC,
}: EnvironmentVariables): SystemdSettings | null {
  if (!NOTIFY_SOCKET) return null;
  const watchdogMs = Number(WATCHDOG_USEC) / 1_000;
  return { notifySocket: NOTIFY_SOCKET, watchdogMs: watchdogMs > 0 ? watchdogMs : null };
}

/**
 * Returns functions that notify systemd when hangup is ready or stops; `ready` also starts the watchdog's messages. Both
 * run systemd-notify, because Node.js has no Unix datagram sockets. hangup also serves if the program is missing.
 */
export function notifySystemd(
  systemd: SystemdSettings | null,
  { onError }: { onError: (error: Error) => void },
): { ready(): void; stopping(): void } {
  if (systemd === null) return { ready() {}, stopping() {} };
  const { notifySocket, watchdogMs } = systemd;
  let watchdog: NodeJS.Timeout | undefined;

  function notify(...args: string[]): void {
    const env = { NOTIFY_SOCKET: notifySocket, PATH: '/usr/bin:/bin' };
    spawn('systemd-notify', args, { env, stdio: 'ignore' }).once('error', onError);
  }

  return {
    ready() {
      notify('--ready');
      // A blocked event loop does not run this timer.
      if (watchdogMs !== null) watchdog = setInterval(() => notify('WATCHDOG=1'), watchdogMs / 3).unref();
    },
    stopping() {
      clearInterval(watchdog);
      notify('STOPPING=1');
    },
  };
}
