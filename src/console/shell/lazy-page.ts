import { type ComponentType, lazy } from 'react';
import { ChunkError } from './chunk-error.ts';

/**
 * Returns a page that is not part of the first load. The browser loads it when nothing else is to do, so that it is there
 * when hangup is not. The page throws ChunkError if it does not load.
 */
export function lazyPage<Props>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  let loading: Promise<{ default: ComponentType<Props> }> | undefined;
  const start = () => {
    loading ??= load().then(
      (page) => ({ default: page }),
      (cause: unknown) => {
        // The visit of the page tries again.
        loading = undefined;
        throw new ChunkError('a part of the page did not load', { cause });
      },
    );
    return loading;
  };
  const whenIdle = window.requestIdleCallback ?? ((run: () => void) => setTimeout(run, IDLE_FALLBACK_MS));
  whenIdle(() => {
    start().catch(() => {
      // The visit of the page shows the error.
    });
  });
  return lazy<ComponentType<Props>>(start);
}

/** Safari has no requestIdleCallback. */
const IDLE_FALLBACK_MS = 2_000;
