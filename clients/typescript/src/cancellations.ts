import type {
  Cancellation,
  CancellationList,
  CancellationPreview,
  CreateCancellationInput,
  ListCancellationsInput,
} from './api-types.ts';
import { sleep, withDeadline } from './deadline.ts';
import { HangupError } from './errors.ts';
import { allItems } from './pages.ts';
import { type ChangeOptions, type RequestOptions, segment, type Transport } from './transport.ts';

type Selectors = 'filter' | 'callIds' | 'all';

/** An input with the given selector only. */
type WithSelector<Selector extends Selectors> = Omit<CreateCancellationInput, Selectors | 'dryRun'> & {
  [S in Selector]-?: NonNullable<CreateCancellationInput[S]>;
} & { [S in Exclude<Selectors, Selector>]?: undefined };

/** Exactly one of `filter`, `callIds` and `all`. A list of calls cannot have a hold. */
export type CancellationInput =
  | WithSelector<'filter'>
  | WithSelector<'all'>
  | (Omit<WithSelector<'callIds'>, 'hold'> & { readonly hold?: false | undefined });

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** By default no limit: hangup retries the deletion of a room for 24 hours. */
  readonly timeoutMs?: number | undefined;
  /** Called with the first state, and after each change of the state or the counts. */
  readonly onProgress?: ((cancellation: Cancellation) => void) | undefined;
}

const LARGEST_PAGE = 100;
const MIN_POLL_MS = 500;
const MAX_POLL_MS = 5_000;
const POLL_GROWTH = 1.5;

/** Cancels many calls in one request. */
export class CancellationsClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Cancels all live calls that match. When the promise resolves, the cancellation is on disk, and hangup completes it. */
  async create(input: CancellationInput, options?: ChangeOptions): Promise<Cancellation> {
    return this.transport.change('POST', '/cancellations', { body: { ...input, dryRun: false } }, options);
  }

  /** Returns the calls that `create` would cancel now, and changes nothing. */
  async preview(input: CancellationInput, options?: RequestOptions): Promise<CancellationPreview> {
    return this.transport.change('POST', '/cancellations', { body: { ...input, dryRun: true } }, options);
  }

  async get(id: string, options?: RequestOptions): Promise<Cancellation> {
    return this.transport.get(`/cancellations/${segment(id)}`, {}, options);
  }

  /** Returns one page of cancellations, newest first. */
  async list(input: ListCancellationsInput = {}, options?: RequestOptions): Promise<CancellationList> {
    return this.transport.get('/cancellations', { ...input }, options);
  }

  /** Yields all cancellations, newest first. */
  listAll(options?: RequestOptions): AsyncGenerator<Cancellation, void, undefined> {
    return allItems(
      (cursor) => this.list({ limit: LARGEST_PAGE, cursor }, options),
      ({ cancellations }) => cancellations,
    );
  }

  /** Lets new matching calls start again. */
  async liftHold(id: string, options?: ChangeOptions): Promise<Cancellation> {
    return this.transport.change('DELETE', `/cancellations/${segment(id)}/hold`, {}, options);
  }

  /**
   * Reads the cancellation until it is completed: each room is deleted, or its deletion is discarded (`counts.rooms`).
   * Continues through outages of hangup and of the network.
   */
  async wait(
    id: string,
    { signal, timeoutMs = Number.POSITIVE_INFINITY, onProgress }: WaitOptions = {},
  ): Promise<Cancellation> {
    const path = `/cancellations/${segment(id)}`;
    const onTimeout = () =>
      new HangupError(`Cancellation ${id} is not completed after ${timeoutMs} ms. hangup continues.`, {
        code: 'timeout',
      });
    return withDeadline(signal, { timeoutMs, onTimeout }, async (waiting) => {
      const persistent = {
        signal: waiting,
        timeoutMs: Number.POSITIVE_INFINITY,
        maxAttempts: Number.POSITIVE_INFINITY,
        isPersistent: true,
      };
      let shown = '';
      let pollMs = MIN_POLL_MS;
      for (;;) {
        const cancellation = await this.transport.get<Cancellation>(path, {}, persistent);
        const { state, counts } = cancellation;
        const current = JSON.stringify([state, counts]);
        pollMs = current === shown ? Math.min(MAX_POLL_MS, POLL_GROWTH * pollMs) : MIN_POLL_MS;
        if (current !== shown) onProgress?.(cancellation);
        if (state === 'completed') return cancellation;
        shown = current;
        await sleep(pollMs, waiting);
      }
    });
  }
}
