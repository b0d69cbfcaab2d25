import type { Hangup } from '@hangup/client';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { throttle } from './throttle.ts';

const LIVE_CALLS = { status: ['initiated', 'connecting', 'ringing', 'active'], limit: 100 } as const;
const CALLS = ['calls'] as const;
/** A stop changes many calls at once. hangup allows 600 requests per minute by default. */
const REFRESH_INTERVAL_MS = 500;

export type StreamState =
  | { readonly name: 'connecting' }
  | { readonly name: 'live' }
  /** The subscription connects again by itself. */
  | { readonly name: 'offline'; readonly error: unknown }
  /** hangup refuses the subscription, for example because the key is revoked. */
  | { readonly name: 'refused'; readonly error: unknown };

/** Returns the first live calls. Reads them again after each event of the stream, and after each connection. */
export function useLiveCalls(hangup: Hangup) {
  const queryClient = useQueryClient();
  const [stream, setStream] = useState<StreamState>({ name: 'connecting' });

  useEffect(() => {
    const load = async () => {
      // The result of a request that is under way could lack the change. A first request continues unless it is cancelled.
      await queryClient.cancelQueries({ queryKey: CALLS });
      await queryClient.invalidateQueries({ queryKey: CALLS });
    };
    const refresh = throttle(() => void load(), REFRESH_INTERVAL_MS);
    const subscription = hangup.events.subscribe(
      {},
      {
        onOpen: () => {
          setStream({ name: 'live' });
          refresh.call();
        },
        onDisconnect: ({ error }) => setStream({ name: 'offline', error }),
      },
    );
    const follow = async () => {
      for await (const { type } of subscription) {
        if (type !== 'call.room_deletion') refresh.call();
      }
    };
    follow().catch((error: unknown) => setStream({ name: 'refused', error }));
    return () => {
      subscription.close();
      refresh.cancel();
    };
  }, [hangup, queryClient]);

  const query = useQuery({
    queryKey: CALLS,
    queryFn: ({ signal }) => hangup.calls.list(LIVE_CALLS, { signal }),
  });
  return { stream, error: query.error, page: query.data };
}
