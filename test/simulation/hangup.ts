import type { WebhookEvent } from 'livekit-server-sdk';
import type { CommandKind } from '../../src/domain/call-command.ts';
import { isLive } from '../../src/domain/call-status.ts';
import { RequestError } from '../../src/domain/errors.ts';
import { createRoomService } from '../../src/livekit/room-service.ts';
import { circuitBreaker } from '../../src/livekit/transport/circuit-breaker.ts';
import type { RoomServiceTransport } from '../../src/livekit/transport/twirp.ts';
import { toParsedWebhook } from '../../src/livekit/webhook-parser.ts';
import { prometheusMetrics } from '../../src/metrics/prometheus.ts';
import type { Health, ServerDependencies } from '../../src/operations/dependencies.ts';
import { createEventFeed } from '../../src/operations/events/event-feed.ts';
import { applyWebhookEvent } from '../../src/operations/livekit/apply-webhook-event.ts';
import { parseSettings } from '../../src/platform/config.ts';
import type { ChangedCall, Store } from '../../src/ports/store.ts';
import type { Clock, Logger, Random, Timers } from '../../src/ports/system.ts';
import { createReconciler, type Reconciler } from '../../src/reconciler/reconciler.ts';
import type { Scheduler } from '../../src/reconciler/scheduler.ts';
import type { LocalStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { SimulatedDatabase } from './database.ts';
import { type EventLog, InvariantViolation } from './event-log.ts';
import type { Prng } from './prng.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** The default settings, except that a call without a room fails sooner than after a day. */
export const CALL_START_TIMEOUT_MS = 600_000;
export const SETTINGS = parseSettings({ CALL_START_TIMEOUT_MS: String(CALL_START_TIMEOUT_MS) }, 'cli');

/** The period of the default reconcile schedule. */
const RECONCILE_INTERVAL_MS = 15_000;

/** The client's deadline. */
const CLIENT_TIMEOUT_MS = 5_000;
const never = () => new Promise<never>(() => {});

export type Reply<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly error: RequestError }
  /** 5xx, no connection, or no response in time: the outcome is unknown. */
  | { readonly kind: 'unknown' };

interface Process {
  isAlive: boolean;
  /** The process dies after this many more store calls; null: never. */
  storeCallsLeft: number | null;
  readonly store: LocalStore;
  readonly dependencies: ServerDependencies;
  readonly reconciler: Reconciler;
  /** Open requests; their connections break when the process dies. */
  readonly waiting: Set<() => void>;
  /** Closes each open stream. */
  readonly streams: Set<() => void>;
}

export interface CommittedEnd {
  readonly callId: string;
  /** True: a cancel. False: an end by hangup itself. */
  readonly isCancelled: boolean;
  readonly reason: string | null;
}

export interface Environment {
  readonly virtualClock: VirtualClock;
  readonly prng: Prng;
  readonly eventLog: EventLog;
  readonly random: Random;
  readonly database: Pick<SimulatedDatabase, 'openStore' | 'clock'>;
  readonly transport: RoomServiceTransport;
  readonly reconciles: boolean;
  /** Returns the store with checks after each commit. */
  readonly observe: (store: LocalStore, clock: Clock) => LocalStore;
  readonly fail: (failure: Error) => void;
  /** Called when the end of a call is committed. */
  readonly onEnd: (end: CommittedEnd) => void;
}

/** No reader of a simulation requests the health. */
const NO_HEALTH: Health = {
  version: 'test',
  startedAt: 0,
  storeKind: 'sqlite',
  isLiveKitUp: () => null,
  liveKitSince: () => null,
  countOrganization: () => Promise.reject(new Error('not in a simulation')),
  history: {
    read() {
      throw new Error('not in a simulation');
    },
  },
  diagnose: () => Promise.reject(new Error('not in a simulation')),
};

/**
 * A hangup process without HTTP: its store on a real database, operations, reconciler and LiveKit client. It may die at any
 * moment; work in flight then never continues.
 */
export class SimulatedHangup {
  /** How far the process's clock is ahead. */
  clockOffsetMs = 0;
  /** Probability that a store call fails without an effect. */
  storeFails = 0;
  readonly #surroundings: Environment;
  #process: Process | null = null;

  constructor(surroundings: Environment) {
    this.#surroundings = surroundings;
  }

  get isUp(): boolean {
    return this.#process !== null;
  }

  start(): void {
    if (this.#process !== null) throw new Error('hangup runs already');
    const { virtualClock, random, transport, database, observe } = this.#surroundings;
    const isAlive = () => process.isAlive;
    const clock = { now: () => virtualClock.now + this.clockOffsetMs };
    const storeClock = database.clock ?? clock;
    const store = database.openStore(storeClock);
    const log = this.#log();
    const breaker = circuitBreaker(
      async (request) => {
        const outcome = isAlive() ? await transport(request) : await never();
        return isAlive() ? outcome : never();
      },
      {
        clock,
        log,
        onOpened: () => process.reconciler.onLiveKitUnreachable(),
        onRecovered: (downMs) => process.reconciler.onLiveKitRecovered(downMs),
      },
    );
    const base = {
      store: this.#slowly(this.#mortal(observe(store, storeClock), () => process)),
      rooms: createRoomService(breaker.transport, () => virtualClock.now),
      metrics: prometheusMetrics({ clock, version: 'simulated' }),
      clock,
      random,
      log,
      ...SETTINGS.operations,
    };
    const reconciler = createReconciler(base, {
      ...SETTINGS.reconciler,
      openSince: breaker.openSince,
      scheduler: this.#scheduler(isAlive),
    });
    const timers = this.#slowTimers(isAlive);
    const dependencies = {
      ...base,
      timers,
      eventFeed: createEventFeed({ store: base.store, timers }),
      health: NO_HEALTH,
      nudge: reconciler.nudge,
      onCancellation: reconciler.onCancellation,
    };
    const process: Process = {
      isAlive: true,
      storeCallsLeft: null,
      store,
      waiting: new Set(),
      streams: new Set(),
      reconciler,
      dependencies,
    };
    this.#process = process;
    reconciler.start();
  }

  /** kill -9. */
  crash(): void {
    const process = this.#process;
    if (process === null) return;
    this.#process = null;
    process.isAlive = false;
    process.store.close();
    for (const hangUp of [...process.waiting, ...process.streams]) hangUp();
  }

  /** kill -9 right after one of the next commits, before its response is sent. */
  crashBehindACommit(storeCallsLeft: number): void {
    if (this.#process !== null) this.#process.storeCallsLeft = storeCallsLeft;
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    // Accepts no more requests.
    this.#process = null;
    for (const close of process.streams) close();
    await process.reconciler.stop();
    process.isAlive = false;
    process.store.close();
  }

  /** Receives a webhook. Resolves to true if the response means "delivered" to LiveKit. */
  async receive(event: WebhookEvent): Promise<boolean> {
    const webhook = toParsedWebhook(event);
    if (webhook.kind === 'ignored') return this.isUp;
    if (webhook.kind !== 'event') throw new Error(`a webhook of the emulator was ${webhook.kind}`);
    const reply = await this.request((dependencies) => applyWebhookEvent(dependencies, webhook.event));
    const { eventLog } = this.#surroundings;
    const outcome = reply.kind === 'done' ? reply.value.kind : reply.kind;
    const { payload, room, id } = webhook.event;
    const reason = 'reason' in payload ? ` (${payload.reason})` : '';
    eventLog.record(room.name, `webhook ${payload.kind}${reason} ${id}: ${outcome}${decided(reply)}`);
    return reply.kind === 'done';
  }

  /** Sends an API request, without HTTP. */
  request<T>(work: (dependencies: ServerDependencies) => Promise<T>): Promise<Reply<T>> {
    const process = this.#process;
    if (process === null) return Promise.resolve({ kind: 'unknown' });
    const { promise, resolve } = Promise.withResolvers<Reply<T>>();
    const giveUp = () => resolve({ kind: 'unknown' });
    const callOff = this.#surroundings.virtualClock.after(CLIENT_TIMEOUT_MS, giveUp);
    process.waiting.add(giveUp);
    const ended = (reply: Reply<T>) => {
      callOff();
      process.waiting.delete(giveUp);
      resolve(reply);
    };
    work(process.dependencies).then(
      (value) => ended({ kind: 'done', value }),
      (error: unknown) => {
        if (error instanceof RequestError) ended({ kind: 'refused', error });
        else {
          if (!isInjected(error))
            this.#surroundings.fail(new InvariantViolation(`a request failed: ${String(error)}`));
          ended({ kind: 'unknown' });
        }
      },
    );
    return promise;
  }

  /** Opens a stream, and resolves when its connection ends: by the client's signal, a crash, a shutdown or an error. */
  async stream<Item>(
    open: (dependencies: ServerDependencies, signal: AbortSignal) => AsyncIterable<Item>,
    onItem: (item: Item) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const connection = new AbortController();
    const close = () => {
      connection.abort();
      resolve();
    };
    signal.addEventListener('abort', close);
    process.streams.add(close);
    const read = async () => {
      for await (const item of open(process.dependencies, connection.signal)) {
        // Events on their way to a lost connection never arrive.
        if (connection.signal.aborted) return;
        onItem(item);
      }
    };
    read()
      .catch((error: unknown) => {
        if (!isInjected(error))
          this.#surroundings.fail(error instanceof Error ? error : new Error(String(error)));
      })
      .finally(close);
    await closed;
    process.streams.delete(close);
    signal.removeEventListener('abort', close);
  }

  /** Each store call is one atomic step. The process may fail or die between two of them. */
  #mortal(store: LocalStore, processOf: () => Process): Store {
    return new Proxy(store, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== 'function') return method;
        return (...args: unknown[]): unknown => {
          const process = processOf();
          if (!process.isAlive) return never();
          if (this.#surroundings.prng.happens(this.storeFails))
            return Promise.reject(new InjectedError('disk I/O error'));
          const result = this.#notingEnd(Reflect.apply(method, target, args));
          if (process.storeCallsLeft !== null) {
            process.storeCallsLeft -= 1;
            if (process.storeCallsLeft <= 0) {
              this.#surroundings.eventLog.recordForAllRooms(`hangup dies behind ${String(name)}`);
              this.crash();
            }
          }
          if (process.isAlive) return result;
          result.catch(() => {});
          return never();
        };
      },
    });
  }

  /**
   * Records the calls of a cancellation in small chunks, with pauses in which other writes run. The time of a chunk is not
   * limited: real time would make each run different.
   */
  #slowly(store: Store): Store {
    const { prng, virtualClock } = this.#surroundings;
    return {
      ...store,
      advanceCancellation: async (input) => {
        if (prng.happens(0.5)) await virtualClock.sleep(prng.between(1, 400));
        const limit = prng.happens(0.5) ? prng.between(1, 5) : input.limit;
        return store.advanceCancellation({ ...input, limit, budgetMs: Number.POSITIVE_INFINITY });
      },
    };
  }

  /** Notes the end of a call before hangup can act on it. */
  async #notingEnd(pending: unknown): Promise<unknown> {
    const result = await pending;
    for (const end of endsIn(result)) this.#surroundings.onEnd(end);
    return result;
  }

  /** Readers wait longer for new events than in reality: no invariant depends on the delay. */
  #slowTimers(isAlive: () => boolean): Timers {
    const { after, every } = this.#scheduler(isAlive);
    return { every, after: (delayMs, run) => after(delayMs * 20, run) };
  }

  #scheduler(isAlive: () => boolean): Scheduler {
    const { virtualClock, reconciles } = this.#surroundings;
    const whenAlive = (run: () => void) => () => {
      if (isAlive()) run();
    };
    const every = (intervalMs: number, run: () => void) => {
      let cancel = () => {};
      const plan = () => {
        cancel = virtualClock.after(
          intervalMs,
          whenAlive(() => {
            plan();
            run();
          }),
        );
      };
      plan();
      return () => cancel();
    };
    return {
      cron: (expression, run) => {
        if (expression !== SETTINGS.reconciler.reconcileSchedule)
          throw new Error(`unexpected schedule ${expression}`);
        return reconciles ? every(RECONCILE_INTERVAL_MS, run) : () => {};
      },
      every,
      after: (delayMs, run) => virtualClock.after(delayMs, whenAlive(run)),
    };
  }

  #log(): Logger {
    const { eventLog, fail } = this.#surroundings;
    const at = (level: string) => (fields: object, message: string) => {
      eventLog.count(`log: ${message}`);
      const about: { roomName?: unknown; err?: unknown; cause?: unknown } = fields;
      if (typeof about.roomName === 'string') {
        const cause = about.cause === undefined ? '' : ` (${String(about.cause)})`;
        eventLog.record(about.roomName, `hangup ${level}: ${message}${cause}`);
      }
      if (about.err !== undefined && !isInjected(about.err))
        fail(new InvariantViolation(`${message}: ${String(about.err)}`));
    };
    return { info: at('info'), warn: at('warn'), error: at('error') };
  }
}

/** The ends of calls in a change that the store returned. */
function endsIn(changed: unknown): CommittedEnd[] {
  if (typeof changed !== 'object' || changed === null) return [];
  const { result, events = [] }: Partial<ChangedCall<CommandKind>> = changed;
  const decision = result && 'decision' in result ? result.decision : null;
  const reason = decision?.kind === 'end' ? decision.failureReason : null;
  return events
    .filter(({ toStatus }) => toStatus !== null && !isLive(toStatus))
    .map(({ subjectId, actor }) => ({ callId: subjectId, isCancelled: actor === 'api_key', reason }));
}

class InjectedError extends Error {
  override readonly name = 'SimulatedError';
}

function isInjected(error: unknown): boolean {
  return error instanceof InjectedError;
}

function decided<T>(reply: Reply<T>): string {
  if (reply.kind !== 'done' || typeof reply.value !== 'object' || reply.value === null) return '';
  const decision: unknown = Reflect.get(reply.value, 'decision');
  return decision === undefined ? '' : ` ${JSON.stringify(decision)}`;
}
