import { Buffer } from 'node:buffer';
import type { WebhookEvent } from 'livekit-server-sdk';
import type { LiveKitError } from '../../src/domain/livekit-error.ts';
import { type Fault, FaultInjector } from '../../src/emulator/fault-injector.ts';
import { fromProtobuf, toProtobuf } from '../../src/emulator/protobuf.ts';
import {
  handleRoomServiceRequest,
  nodeUnavailable,
  ROOM_SERVICE_METHODS,
  type RoomServiceMethod,
} from '../../src/emulator/room-service.ts';
import { RoomState } from '../../src/emulator/room-state.ts';
import { type HttpResponse, livekitError, twirpError } from '../../src/emulator/twirp.ts';
import { WEBHOOK_RETRY_DELAYS_MS } from '../../src/emulator/webhook-sender.ts';
import {
  readResponse,
  type TwirpOutcome,
  type TwirpRequest,
  timedOut,
} from '../../src/livekit/transport/twirp.ts';
import { Attendance } from './attendance.ts';
import type { EventLog } from './event-log.ts';
import type { Prng } from './prng.ts';
import type { VirtualClock } from './virtual-clock.ts';

const TIMEOUTS = { emptyTimeoutMs: 300_000, departureTimeoutMs: 20_000 };
/** A real LiveKit needs this long to report a dead node. */
const NO_RESPONSE_AFTER_MS = 3_000;
const BROKEN: LiveKitError = {
  kind: 'unavailable',
  code: null,
  detail: 'the connection failed: read ECONNRESET',
};

/** LiveKit: the emulator's rooms, responses and faults, without HTTP. */
export class SimulatedLiveKit {
  readonly rooms: RoomState;
  readonly webhooks: SimulatedWebhooks;
  /** The actual parties in the rooms. */
  readonly attendance: Attendance;
  /** The API is unreachable; the rooms continue. */
  isUnreachable = false;
  /** Rooms whose node is dead. */
  readonly ghosts = new Set<string>();
  readonly #faults = new FaultInjector();
  readonly #virtualClock: VirtualClock;
  readonly #prng: Prng;
  readonly #eventLog: EventLog;

  constructor(virtualClock: VirtualClock, prng: Prng, eventLog: EventLog, receiver: Receiver) {
    this.#virtualClock = virtualClock;
    this.#prng = prng;
    this.#eventLog = eventLog;
    this.webhooks = new SimulatedWebhooks(virtualClock, prng.fork(), eventLog, receiver);
    this.attendance = new Attendance(virtualClock);
    const ids = prng.fork();
    this.rooms = new RoomState(
      TIMEOUTS,
      (event) => {
        this.attendance.note(event);
        const roomName = event.room?.name ?? '';
        if (event.event !== 'track_published' && event.event !== 'track_unpublished')
          this.ghosts.delete(roomName);
        this.webhooks.send(event);
      },
      {
        now: () => virtualClock.now,
        setTimer: (delayMs, run) => virtualClock.after(delayMs, run),
        randomBytes: (count) => ids.bytes(count),
      },
    );
  }

  setFault(method: RoomServiceMethod | '*', fault: Fault | null): void {
    this.#faults.set(method, fault);
  }

  /** Kills the node of all rooms: the rooms stay listed, without participants. */
  killNode(): void {
    for (const name of this.rooms.roomNames()) this.ghosts.add(name);
    this.attendance.clear();
    this.rooms.killNode();
  }

  /** Restarts LiveKit: all rooms are gone, without an event. */
  restart(): void {
    this.ghosts.clear();
    this.attendance.clear();
    this.webhooks.clear();
    this.rooms.stop();
  }

  /** Never rejects, like the real transport. */
  send<T>(request: TwirpRequest<T>): Promise<TwirpOutcome<T>> {
    const method = ROOM_SERVICE_METHODS.find((method) => method === request.method);
    if (method === undefined) throw new Error(`LiveKit has no ${request.method}`);
    const { promise, resolve } = Promise.withResolvers<TwirpOutcome<T>>();
    const giveUp = this.#virtualClock.after(request.timeoutMs, () => resolve(timedOut(request.timeoutMs)));
    const answer: Answering = (response, afterMs, headers = {}) => {
      this.#virtualClock.after(afterMs, () => {
        giveUp();
        // A response in flight is lost when LiveKit becomes unreachable.
        resolve(
          this.isUnreachable || 'kind' in response
            ? BROKEN
            : readResponse(responseOf(response, headers), bytesOf(response), request).catch(
                // Like the transport: an unreadable response, or an error of hangup while it reads the parts.
                (error: unknown) => ({ ...BROKEN, detail: String(error) }),
              ),
        );
      });
    };
    this.#virtualClock.after(this.#latencyMs(), () => this.#handle(method, request, answer));
    return promise;
  }

  #handle(method: RoomServiceMethod, { body, grant }: TwirpRequest<unknown>, answer: Answering): void {
    const apply = () =>
      body instanceof Uint8Array
        ? toProtobuf(
            method,
            handleRoomServiceRequest(method, fromProtobuf(method, body) ?? null, grant, this.rooms),
          )
        : handleRoomServiceRequest(method, JSON.parse(JSON.stringify(body)), grant, this.rooms);
    const send = (response: HttpResponse, headers = {}) => answer(response, this.#latencyMs(), headers);
    const done = () => {
      const response = apply();
      if (response.status === 503) answer(response, NO_RESPONSE_AFTER_MS);
      else send(response);
    };
    if (this.isUnreachable) {
      answer(BROKEN, 1);
      return;
    }
    const fault = this.#faults.get(method);
    if (fault !== null) this.#eventLog.count(`${method} met ${fault.kind}`);
    switch (fault?.kind) {
      case undefined:
        done();
        return;
      case 'status500':
        send(livekitError('internal', 'internal error'));
        return;
      case 'status503':
        send(nodeUnavailable());
        return;
      case 'status429':
        send(twirpError('resource_exhausted', 'too many requests'), {
          'retry-after': String(fault.retryAfterS),
        });
        return;
      case 'hang':
        return;
      case 'reset':
        answer(BROKEN, 1);
        return;
      case 'applyThen503':
        apply();
        send(nodeUnavailable());
        return;
      case 'applyThenReset':
        apply();
        answer(BROKEN, 1);
        return;
      case 'slow':
        this.#virtualClock.after(fault.delayMs, () => {
          if (!this.isUnreachable) done();
        });
        return;
    }
  }

  #latencyMs(): number {
    return this.#prng.happens(0.02) ? this.#prng.between(10, 400) : this.#prng.between(1, 8);
  }
}

type Answering = (
  response: HttpResponse | typeof BROKEN,
  afterMs: number,
  headers?: Record<string, string>,
) => void;

const responseOf = ({ status, contentType }: HttpResponse, headers: Record<string, string>) => ({
  status,
  headers: { 'content-type': contentType, ...headers },
});

async function* bytesOf({ body }: HttpResponse) {
  yield Buffer.from(body);
}

/** Receives an event. Resolves to true if the response means "delivered" to LiveKit. */
export type Receiver = (event: WebhookEvent) => Promise<boolean>;

export interface WebhookFaults {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
}

export const NO_WEBHOOK_FAULTS: WebhookFaults = { lost: 0, doubled: 0, late: 0 };

// LiveKit's protocol, webhook/resource_url_notifier.go.
const MAX_WAITING = 200;
const MAX_AGE_MS = 30_000;
/** Maximum delay of a duplicate, or of an event from another node. */
const LATE_MS = 90_000;

/** LiveKit's webhook queue: in order for each room name, five attempts, in memory only; with injected faults. */
class SimulatedWebhooks {
  /** Probability of each fault. */
  faults = NO_WEBHOOK_FAULTS;
  readonly #queues = new Map<string, { event: WebhookEvent; queuedAt: number }[]>();
  readonly #virtualClock: VirtualClock;
  readonly #prng: Prng;
  readonly #eventLog: EventLog;
  readonly #receiver: Receiver;
  #generation = 0;

  constructor(virtualClock: VirtualClock, prng: Prng, eventLog: EventLog, receiver: Receiver) {
    this.#virtualClock = virtualClock;
    this.#prng = prng;
    this.#eventLog = eventLog;
    this.#receiver = receiver;
  }

  send(event: WebhookEvent): void {
    const { lost, doubled, late } = this.faults;
    this.#eventLog.count(`webhook ${event.event}`);
    if (this.#prng.happens(lost)) {
      this.#note(event, 'lost');
      return;
    }
    if (this.#prng.happens(doubled)) this.#later(event, 'delivered twice');
    if (this.#prng.happens(late)) {
      this.#later(event, 'delivered late');
      return;
    }
    const roomName = event.room?.name ?? '';
    const waiting = { event, queuedAt: this.#virtualClock.now };
    const queue = this.#queues.get(roomName);
    if (queue === undefined) {
      const begun = [waiting];
      this.#queues.set(roomName, begun);
      void this.#drain(roomName, begun);
    } else if (queue.length < MAX_WAITING) {
      queue.push(waiting);
    }
  }

  /** Drops all queued webhooks: LiveKit keeps them in memory. */
  clear(): void {
    this.#queues.clear();
    this.#generation += 1;
  }

  #later(event: WebhookEvent, how: string): void {
    const generation = this.#generation;
    this.#virtualClock.after(this.#prng.between(10, LATE_MS), () => {
      if (generation !== this.#generation) return;
      this.#note(event, how);
      void this.#deliver(event, generation);
    });
  }

  async #drain(roomName: string, queue: { event: WebhookEvent; queuedAt: number }[]): Promise<void> {
    const generation = this.#generation;
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (this.#virtualClock.now - next.queuedAt <= MAX_AGE_MS) await this.#deliver(next.event, generation);
      else this.#note(next.event, 'dropped: too old');
      if (generation !== this.#generation) return;
    }
    this.#queues.delete(roomName);
  }

  async #deliver(event: WebhookEvent, generation: number): Promise<void> {
    for (const delayMs of [this.#prng.between(1, 10), ...WEBHOOK_RETRY_DELAYS_MS]) {
      await this.#virtualClock.sleep(delayMs);
      if (generation !== this.#generation) return;
      if (await this.#receiver(event)) return;
    }
    this.#note(event, 'dropped: no receiver accepted it');
  }

  #note({ event, id, room }: WebhookEvent, outcome: string): void {
    this.#eventLog.count(`webhooks ${outcome}`);
    this.#eventLog.record(room?.name ?? '', `webhook ${event} ${id} ${outcome}`);
  }
}
