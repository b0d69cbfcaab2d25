import { current as currentApiKey } from './api-keys/current.ts';
import { cancel } from './calls/cancel.ts';
import { create } from './calls/create.ts';
import { events } from './calls/events.ts';
import { get } from './calls/get.ts';
import { list } from './calls/list.ts';
import { create as createCancellation } from './cancellations/create.ts';
import { get as getCancellation } from './cancellations/get.ts';
import { liftHold } from './cancellations/lift-hold.ts';
import { list as listCancellations } from './cancellations/list.ts';
import { stream } from './events/stream.ts';
import { router } from './trpc.ts';

export const appRouter = router({
  calls: router({ cancel, get, events, list, create }),
  cancellations: router({
    create: createCancellation,
    get: getCancellation,
    list: listCancellations,
    liftHold,
  }),
  events: router({ stream }),
  apiKeys: router({ current: currentApiKey }),
});

/** For clients: `createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: 'http://127.0.0.1:8080/trpc' })] })`. */
export type AppRouter = typeof appRouter;
