import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useEffectEvent,
  useRef,
  useState,
} from 'react';
import { currentTime } from './clock.ts';
import { retryAfterMs } from './errors.ts';
import { type LiveEvent, trpc } from './trpc.ts';

/**
 * `paused`: the tab is hidden. `limited`: hangup refuses requests for a time. `refused`: the session has ended, or the key
 * lacks calls:read.
 */
export type StreamState = 'connecting' | 'live' | 'lost' | 'limited' | 'paused' | 'refused';

type Listener = (event: LiveEvent) => void;

interface LiveEvents {
  readonly state: StreamState;
  /** The time of the attempt after the last refusal by a limit, in ms since 1970. */
  readonly retryAt: number;
  readonly listeners: Set<Listener>;
}

const LiveEventsContext = createContext<LiveEvents | null>(null);

/** After an answer that ends the stream, such as the 503 of a proxy while hangup starts. */
const RETRY_DELAY_MS = 2_000;
/** A stream begins with an event. A stream without one is lost, for example at a proxy that keeps it back. */
const FIRST_EVENT_TIMEOUT_MS = 10_000;

/**
 * Keeps one subscription open while the tab is visible. A hidden tab has no stream, and continues after its last event
 * later, because a browser opens only six connections to a host for all tabs.
 * @param isEnabled false without a session, or without the scope
 * @param onEnd called when hangup ends or refuses the stream: the session may have ended
 */
export function LiveEventsProvider({
  isEnabled,
  onEnd,
  children,
}: {
  isEnabled: boolean;
  onEnd: () => void;
  children: ReactNode;
}) {
  const [state, setState] = useState<StreamState>('connecting');
  const [retryAt, setRetryAt] = useState(0);
  const [attempt, setAttempt] = useState(0);
  const [listeners] = useState(() => new Set<Listener>());
  const lastEventId = useRef<string | undefined>(undefined);
  const isVisible = useIsVisible();
  const reportEnd = useEffectEvent(onEnd);

  useEffect(() => {
    if (!isEnabled || !isVisible) {
      setState(isEnabled ? 'paused' : 'refused');
      return;
    }
    let isOver = false;
    let timer = setTimeout(() => end(null), FIRST_EVENT_TIMEOUT_MS);
    const end = (error: unknown) => {
      // An unsubscription also completes the stream.
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      const limitedMs = retryAfterMs(error);
      setState(limitedMs === null ? 'lost' : 'limited');
      if (limitedMs !== null) setRetryAt(currentTime() + limitedMs);
      timer = setTimeout(() => setAttempt(attempt + 1), limitedMs ?? RETRY_DELAY_MS);
      reportEnd();
    };
    const input = lastEventId.current === undefined ? {} : { lastEventId: lastEventId.current };
    const subscription = trpc.events.stream.subscribe(input, {
      onData: ({ id, data }) => {
        if (isOver) return;
        clearTimeout(timer);
        // A refused stream has no event, but is connected until its error arrives.
        setState('live');
        lastEventId.current = id;
        for (const listener of listeners) listener(data);
      },
      onConnectionStateChange: ({ state: connection, error }) => {
        // The first attempt of a page is not a loss.
        if (connection === 'connecting' && error !== null && !isOver) setState('lost');
      },
      onError: end,
      onComplete: () => end(null),
    });
    return () => {
      isOver = true;
      clearTimeout(timer);
      subscription.unsubscribe();
    };
  }, [isEnabled, isVisible, attempt, listeners]);

  return <LiveEventsContext value={{ state, retryAt, listeners }}>{children}</LiveEventsContext>;
}

function useIsVisible(): boolean {
  const [isVisible, setIsVisible] = useState(document.visibilityState === 'visible');
  useEffect(() => {
    const update = () => setIsVisible(document.visibilityState === 'visible');
    document.addEventListener('visibilitychange', update);
    return () => document.removeEventListener('visibilitychange', update);
  }, []);
  return isVisible;
}

export function useStreamState(): StreamState {
  return useLiveEvents().state;
}

/** Returns the time of the next attempt in the state `limited`, in ms since 1970. */
export function useStreamRetryAt(): number {
  return useLiveEvents().retryAt;
}

/** Calls `onEvent` for each event. An event `reset` or `opened` means: events can be missing, so load everything again. */
export function useOnEvent(onEvent: Listener): void {
  const { listeners } = useLiveEvents();
  const handle = useEffectEvent(onEvent);
  useEffect(() => {
    const listener: Listener = (event) => handle(event);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, [listeners]);
}

function useLiveEvents(): LiveEvents {
  const live = useContext(LiveEventsContext);
  if (live === null) throw new Error('live events are used outside LiveEventsProvider');
  return live;
}
