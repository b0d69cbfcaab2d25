import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink } from '@trpc/client';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter } from '../../api/router.ts';
import { fetchAndCompareClocks } from './clock.ts';

const URL = '/console/trpc';

/** A page of another origin cannot send this header, so it proves that the request comes from the console. */
export const CONSOLE_HEADERS = { 'x-hangup-console': '1' };

/** The procedures of hangup. The session cookie, which no script can read, has the permissions. */
export const trpc = createTRPCClient<AppRouter>({
  links: [
    splitLink({
      condition: ({ type }) => type === 'subscription',
      true: httpSubscriptionLink({ url: URL }),
      // Small batches, so that one slow procedure delays few others.
      false: httpBatchLink({ url: URL, headers: CONSOLE_HEADERS, maxItems: 4, fetch: fetchAndCompareClocks }),
    }),
  ],
});

const TIMEOUT_MS = 10_000;

/**
 * Returns the options of a request. hangup answers most within 5 s. A request without a response would keep a cancel busy, and a
 * page as it is, for as long as the browser waits.
 * @param signal ends the request earlier
 */
export const inTime = (signal?: AbortSignal, timeoutMs = TIMEOUT_MS) => {
  const timeout = AbortSignal.timeout(timeoutMs);
  return { signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]) };
};

export type Inputs = inferRouterInputs<AppRouter>;
export type Outputs = inferRouterOutputs<AppRouter>;

type StreamItem = Outputs['events']['stream'] extends AsyncIterable<infer Item> ? Item : never;
/** The data of an event of the stream. */
export type LiveEvent = StreamItem extends { data: infer Data } ? Data : never;
