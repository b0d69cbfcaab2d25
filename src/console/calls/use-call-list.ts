import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { useOnEvent, useStreamState } from '../api/live-events.tsx';
import { CallList } from './call-list.ts';
import { sourceOf } from './calls-api.ts';
import { parseFilter } from './filter.ts';

const TICK_MS = 500;

/** Returns the calls of a page's address, kept current by the event stream. `visible` has the ids of the shown rows. */
export function useCallList(search: string) {
  const list = useMemo(() => {
    const filter = parseFilter(search);
    return new CallList(filter, sourceOf(filter), () => performance.now());
  }, [search]);
  const visible = useRef<readonly string[]>([]);
  const isPaused = useStreamState() === 'paused';
  useSyncExternalStore(list.subscribe, () => list.version);
  useOnEvent((event) => list.apply(event));

  useEffect(() => {
    list.open();
    return () => list.close();
  }, [list]);

  useEffect(() => {
    if (isPaused) return;
    const timer = setInterval(() => list.tick(visible.current), TICK_MS);
    return () => clearInterval(timer);
  }, [list, isPaused]);

  return { list, visible };
}
