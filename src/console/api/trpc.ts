import {
  createTRPCClient,
  httpBatchLink,
  httpSubscriptionLink,
  type Operation,
  splitLink,
  type TRPCLink,
} from '@trpc/client';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter } from '../../api/router.ts';
import { fetchAndCompareClocks } from './clock.ts';

const URL = '/console/trpc';

/** A page of another origin cannot send this header, so it proves that the request comes from the console. */
export const CONSOLE_HEADERS = { 'x-hangup-console': '1' };

/** The procedure that returns the key of the session. It must work for every session. */
const SESSION_PATH = 'apiKeys.current';

/** The id of the API key whose session the page shows. */
let shownKeyId: string | undefined;

/**
 * Sets the API key of later requests. hangup refuses a request whose cookie is of another key: the tabs of a browser share one
 * cookie, and another tab can have signed in a moment ago.
 */
export function setShownKey(id: string): void {
  shownKeyId = id;
}

/** Notes the key when a request is made, which is earlier than its batch is sent. */
const noteShownKey: TRPCLink<AppRouter> =
  () =>
  ({ op, next }) =>
    next({ ...op, context: { ...op.context, keyId: op.path === SESSION_PATH ? undefined : shownKeyId } });

/** Returns the header with the key of a batch. hangup refuses a batch of several keys, because it is the session of one. */
function keyHeader(requests: readonly Operation[]): Record<string, string> {
  const ids = new Set(requests.map(({ context }) => context['keyId']).filter((id) => id !== undefined));
  return ids.size === 0 ? {} : { 'x-hangup-key-id': [...ids].join() };
}

// Small batches, so that one slow procedure delays few others.
const batchLink = () =>
  httpBatchLink<AppRouter>({
    url: URL,
    headers: ({ opList }) => ({ ...CONSOLE_HEADERS, ...keyHeader(opList) }),
    maxItems: 4,
    fetch: fetchAndCompareClocks,
  });

/** The procedures of hangup. The session cookie, which no script can read, has the permissions. */
export const trpc = createTRPCClient<AppRouter>({
  links: [
    noteShownKey,
    splitLink({
      condition: ({ type }) => type === 'subscription',
      true: httpSubscriptionLink({ url: URL }),
      false: splitLink({
        condition: ({ path }) => path === SESSION_PATH,
        true: batchLink(),
        false: batchLink(),
      }),
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
