import { spawn } from 'node:child_process';

/** systemd's side of Type=notify, as it tells a service by its environment. */
export interface Systemd {
  readonly notifySocket: string;
  /** Null: it does not watch. */
  readonly watchdogMs: number | null;
}

/**
 * Tells systemd that hangup is ready, lives, stops. By systemd-notify, for Node.js has no datagram sockets of the kind
 * that systemd listens on; where that is missing systemd hears nothing, and hangup serves all the same.
 */
export function notifySystemd(
  systemd: Systemd | null,
  { onFault }: { onFault: (error: Error) => void },
): { ready(): void; stopping(): void } {
  if (systemd === null) return { ready() {}, stopping() {} };
  const { notifySocket, watchdogMs } = systemd;
  let watchdog: NodeJS.Timeout | undefined;

  function say(...words: string[]): void {
    const env = { NOTIFY_SOCKET: notifySocket, PATH: '/usr/bin:/bin' };
    spawn('systemd-notify', words, { env, stdio: 'ignore' }).once('error', onFault);
  }

  return {
    ready() {
      say('--ready');
      // That the timer comes shows that the event loop turns.
      if (watchdogMs !== null) watchdog = setInterval(() => say('WATCHDOG=1'), watchdogMs / 3).unref();
    },
    stopping() {
      clearInterval(watchdog);
      say('STOPPING=1');
    },
  };
}
