import { add as addAdoptionPrefix } from './adoption-prefixes/add.ts';
import { list as listAdoptionPrefixes } from './adoption-prefixes/list.ts';
import { remove as removeAdoptionPrefix } from './adoption-prefixes/remove.ts';
import { list as listAgents } from './agents/list.ts';
import { create as createApiKey } from './api-keys/create.ts';
import { current as currentApiKey } from './api-keys/current.ts';
import { list as listApiKeys } from './api-keys/list.ts';
import { revoke as revokeApiKey } from './api-keys/revoke.ts';
import { cancel } from './calls/cancel.ts';
import { create } from './calls/create.ts';
import { events } from './calls/events.ts';
import { get } from './calls/get.ts';
import { list } from './calls/list.ts';
import { search } from './calls/search.ts';
import { create as createCancellation } from './cancellations/create.ts';
import { get as getCancellation } from './cancellations/get.ts';
import { liftHold } from './cancellations/lift-hold.ts';
import { list as listCancellations } from './cancellations/list.ts';
import { stream } from './events/stream.ts';
import { findings } from './health/findings.ts';
import { get as getHealth } from './health/get.ts';
import { history } from './health/history.ts';
import { list as listRoomDeletions } from './room-deletions/list.ts';
import { retry as retryRoomDeletion } from './room-deletions/retry.ts';
import { router } from './trpc.ts';

export const appRouter = router({
  calls: router({ cancel, get, events, list, search, create }),
  cancellations: router({
    create: createCancellation,
    get: getCancellation,
    list: listCancellations,
    liftHold,
  }),
  agents: router({ list: listAgents }),
  roomDeletions: router({ list: listRoomDeletions, retry: retryRoomDeletion }),
  health: router({ get: getHealth, history, findings }),
  events: router({ stream }),
  // `current` first: its path also matches that of `revoke`.
  apiKeys: router({
    current: currentApiKey,
    list: listApiKeys,
    create: createApiKey,
    revoke: revokeApiKey,
  }),
  adoption: router({
    list: listAdoptionPrefixes,
    add: addAdoptionPrefix,
    remove: removeAdoptionPrefix,
  }),
});

/** For clients: `createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: 'http://127.0.0.1:8080/trpc' })] })`. */
export type AppRouter = typeof appRouter;
