import { AdoptionClient } from './adoption.ts';
import { AgentsClient } from './agents.ts';
import { ApiKeysClient } from './api-keys.ts';
import type { StreamEventsInput } from './api-types.ts';
import { CallsClient } from './calls.ts';
import { CancellationsClient } from './cancellations.ts';
import { HealthClient } from './health.ts';
import { RoomDeletionsClient } from './room-deletions.ts';
import { type SubscribeOptions, type Subscription, subscribe } from './subscription.ts';
import { type HangupOptions, Transport } from './transport.ts';

/* The build adds the type AppRouter of tRPC: see scripts/build-client.ts. */
export type * from './api-types.ts';
export type { ListAllCallsInput } from './calls.ts';
export type { CancellationInput, WaitOptions } from './cancellations.ts';
export { HangupError, type HangupErrorCode, type HangupErrorDetails } from './errors.ts';
export type { Disconnection, HangupEvent, SubscribeOptions, Subscription } from './subscription.ts';
export type { ChangeOptions, HangupOptions, RequestOptions, Retry } from './transport.ts';

/** Only the public members, so that a test can pass an object of its own. */
type Public<Class> = Pick<Class, keyof Class>;

export type Calls = Public<CallsClient>;
export type Cancellations = Public<CancellationsClient>;
export type ApiKeys = Public<ApiKeysClient>;
export type Agents = Public<AgentsClient>;
export type RoomDeletions = Public<RoomDeletionsClient>;
export type HealthReader = Public<HealthClient>;
export type Adoption = Public<AdoptionClient>;

export interface Events {
  /**
   * Follows the changes of calls, room deletions and cancellations: `for await (const event of events.subscribe())`.
   * Connects again by itself, and resumes after the last event. Throws a HangupError if the server refuses the request.
   */
  subscribe(filter?: StreamEventsInput, options?: SubscribeOptions): Subscription;
}

export interface Hangup {
  readonly calls: Calls;
  readonly cancellations: Cancellations;
  readonly events: Events;
  readonly apiKeys: ApiKeys;
  readonly agents: Agents;
  readonly roomDeletions: RoomDeletions;
  readonly health: HealthReader;
  readonly adoption: Adoption;
}

/** Returns a client. @throws TypeError for a wrong option */
export function createHangup(options: HangupOptions): Hangup {
  const transport = new Transport(options);
  return {
    calls: new CallsClient(transport),
    cancellations: new CancellationsClient(transport),
    events: {
      subscribe: (filter = {}, subscribeOptions = {}) => subscribe(transport, filter, subscribeOptions),
    },
    apiKeys: new ApiKeysClient(transport),
    agents: new AgentsClient(transport),
    roomDeletions: new RoomDeletionsClient(transport),
    health: new HealthClient(transport),
    adoption: new AdoptionClient(transport),
  };
}
