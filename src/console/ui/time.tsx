import { type ComponentProps, useEffect, useState } from 'react';
import { currentTime } from '../api/clock.ts';
import { texts } from '../texts.ts';

const LOCAL = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium' });
const UTC = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' });
const LOCAL_TIME = new Intl.DateTimeFormat('en', { timeStyle: 'medium' });

/** Returns a time of today in the reader's zone. @param time in ms since 1970 */
export const formatTimeOfDay = (time: number): string => LOCAL_TIME.format(time);

/** A time in the reader's zone, with UTC on hover. */
export function Time({ iso }: { iso: string }) {
  const date = new Date(iso);
  return (
    <time dateTime={iso} title={texts.common.utc(UTC.format(date))} className="whitespace-nowrap">
      {LOCAL.format(date)}
    </time>
  );
}

/** The time since an instant, such as `3 min 20 s`, with the instant on hover. Changes each second. */
export function Age({ iso, now }: { iso: string; now: number }) {
  const date = new Date(iso);
  return (
    <time
      dateTime={iso}
      title={`${LOCAL.format(date)} (${texts.common.utc(UTC.format(date))})`}
      className="whitespace-nowrap"
    >
      {formatDuration(now - date.getTime())}
    </time>
  );
}

/** The time since an instant, such as `3 min 20 s ago`. */
export function Ago(props: ComponentProps<typeof Age>) {
  return (
    <>
      <Age {...props} /> {texts.common.ago}
    </>
  );
}

/** Returns a duration in its two largest units. A negative duration counts as zero. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Returns the time now, again each second. One timer for a page: pass the value on to each `Age`. */
export function useNow(): number {
  const [now, setNow] = useState(currentTime);
  useEffect(() => {
    const timer = setInterval(() => setNow(currentTime()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
