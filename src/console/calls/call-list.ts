import type { Call, CallStatus } from '../api/call.ts';
import type { LiveEvent } from '../api/trpc.ts';
import type { CallPage, CallSource } from './call-source.ts';
import { type CallFilter, matchesStatus } from './filter.ts';
import { type Row, type RowRef, withStatus } from './row.ts';

/** Reloaded pages at most: 500 calls. A reload is the cost of a lost event, and keys have limits. */
const MAX_RELOADED_PAGES = 5;
const REFRESH_INTERVAL_MS = 3_000;
/** How long a row stays visible after its call has stopped matching. */
const LINGER_MS = 8_000;
/** How long the order stays as it is after the reader has used the list, so that a click meets the right row. */
const QUIET_MS = 2_500;
const NOTIFY_INTERVAL_MS = 150;

const IDLE = { kind: 'idle' } as const;
type LoadState =
  | typeof IDLE
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: unknown };

/**
 * The loaded calls of a filter, kept current by the event stream. An event changes a loaded row without a request. Events
 * that add calls, or that change the participants, cause one request each few seconds, however many events arrive.
 */
export class CallList {
  readonly filter: CallFilter;
  readonly #source: CallSource;
  readonly #now: () => number;
  readonly #rows = new Map<string, Row>();
  /** The last status of calls that are not loaded, from events during a request: its response can have an older one. */
  readonly #unloaded = new Map<string, { readonly status: CallStatus; readonly changedBy: number }>();
  readonly #listeners = new Set<() => void>();
  #abort = new AbortController();
  #notifyTimer: ReturnType<typeof setTimeout> | undefined;
  /** The number of applied events. */
  #events = 0;
  #lastEventId: string | null = null;
  #loadedPages = 0;
  #cursor: string | null = null;
  #wanted: 'nothing' | 'newest' | 'loaded' | 'everything' = 'nothing';
  #isRequesting = false;
  #requestedAt = Number.NEGATIVE_INFINITY;
  #usedAt = Number.NEGATIVE_INFINITY;

  /** Changes with each change of the list. */
  version = 0;
  order: readonly RowRef[] = [];
  total: { readonly count: number; readonly isCapped: boolean } | null = null;
  /** The load of the first page. */
  first: LoadState = { kind: 'loading' };
  /** The load of the next page. */
  next: LoadState = IDLE;

  /** @param now in ms, by a clock that is never set back: until it had caught up, the list would stand still */
  constructor(filter: CallFilter, source: CallSource, now: () => number) {
    this.filter = filter;
    this.#source = source;
    this.#now = now;
  }

  row(id: string): Row | undefined {
    return this.#rows.get(id);
  }

  get hasMore(): boolean {
    return this.#cursor !== null;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Loads the first page, and after `close` again. */
  open(): void {
    this.#abort = new AbortController();
    this.#isRequesting = false;
    void this.reload();
  }

  /** Ends all requests. */
  close(): void {
    this.#abort.abort();
    clearTimeout(this.#notifyTimer);
    this.#notifyTimer = undefined;
  }

  /** Loads the first pages again, and keeps the list until they arrive. */
  async reload(): Promise<void> {
    if (this.first.kind === 'failed') this.first = { kind: 'loading' };
    this.#notify();
    await this.#request(Math.min(Math.max(this.#loadedPages, 1), MAX_RELOADED_PAGES), { isReplacing: true });
  }

  async loadMore(): Promise<void> {
    const cursor = this.#cursor;
    if (cursor === null || this.next.kind === 'loading' || this.first.kind !== 'idle') return;
    const { signal } = this.#abort;
    if (!this.#isRequesting) this.#unloaded.clear();
    this.next = { kind: 'loading' };
    this.#notify();
    const events = this.#events;
    try {
      const page = await this.#source.readPage(cursor, signal);
      // A reload during the request has started the list again.
      if (signal.aborted || this.#cursor !== cursor) return;
      const added = page.calls.filter(({ id }) => !this.#rows.has(id));
      for (const call of page.calls) this.#put(call, events);
      this.order = [...this.order, ...added.map(({ id }) => ({ id }))];
      this.#cursor = page.nextCursor;
      this.#loadedPages += 1;
      this.#setTotal(page);
      this.next = IDLE;
    } catch (error) {
      if (signal.aborted) return;
      this.next = { kind: 'failed', error };
    } finally {
      if (!signal.aborted && this.next.kind === 'loading') this.next = IDLE;
      this.#notify();
    }
  }

  /** Notes that the reader uses the list: the order stays as it is for a moment. */
  use(): void {
    this.#usedAt = this.#now();
  }

  apply(event: LiveEvent): void {
    this.#events += 1;
    const isGap = event.type === 'reset' || (event.type === 'opened' && event.id !== this.#lastEventId);
    this.#lastEventId = event.id;
    if (isGap) this.#want('everything');
    if (event.type === 'call.created') this.#applyCreated(event);
    if (event.type === 'call.status_changed') this.#applyStatus(event);
    if (event.type === 'call.room_deletion') {
      const row = this.#rows.get(event.callId);
      if (row !== undefined) this.#set({ ...row, deletion: event });
    }
  }

  /** Sends the requests that events require, at most one each few seconds, and none while the reader uses the list. Call it often. */
  tick(visible: readonly string[]): void {
    const now = this.#now();
    if (now - this.#usedAt < QUIET_MS) return;
    this.#sweep(now);
    if (this.#isRequesting || now - this.#requestedAt < REFRESH_INTERVAL_MS) return;
    const wanted = this.#wanted;
    const stale = visible.flatMap((id) => this.#rows.get(id) ?? []);
    if (wanted === 'nothing') {
      if (stale.some(({ isStale }) => isStale)) void this.#refreshStale(stale);
      return;
    }
    this.#wanted = 'nothing';
    if (wanted === 'everything') void this.reload();
    else void this.#request(wanted === 'newest' ? 1 : this.#reloadedPages(), { isReplacing: false });
  }

  #reloadedPages(): number {
    return Math.min(Math.max(this.#loadedPages, 1), MAX_RELOADED_PAGES);
  }

  #applyCreated({ callId, status, agentId }: Extract<LiveEvent, { type: 'call.created' }>): void {
    if (this.filter.text !== '' || this.#rows.has(callId)) return;
    if (this.filter.agentId !== null && this.filter.agentId !== agentId) return;
    if (status !== null && !matchesStatus(this.filter, status)) return;
    this.#want(this.#isNewestFirst ? 'newest' : 'loaded');
  }

  #applyStatus({ callId, from, to }: Extract<LiveEvent, { type: 'call.status_changed' }>): void {
    if (to === null) return;
    const matches = matchesStatus(this.filter, to);
    const row = this.#rows.get(callId);
    if (row !== undefined) {
      const leftAt = matches ? null : (row.leftAt ?? this.#now());
      this.#set({ ...row, call: withStatus(row.call, to), leftAt, isStale: true, changedBy: this.#events });
      if (!matches) this.#want('newest');
      return;
    }
    if (this.#isRequesting || this.next.kind === 'loading') {
      this.#unloaded.set(callId, { status: to, changedBy: this.#events });
    }
    if (this.filter.text !== '') return;
    const matched = from !== null && matchesStatus(this.filter, from);
    if (matches && !matched) this.#want('loaded');
    // The total changes.
    if (!matches && matched) this.#want('newest');
  }

  get #isNewestFirst(): boolean {
    return this.filter.sortBy === 'createdAt' && this.filter.sortOrder === 'desc';
  }

  #want(wanted: 'newest' | 'loaded' | 'everything'): void {
    const ranks = ['nothing', 'newest', 'loaded', 'everything'] as const;
    if (ranks.indexOf(wanted) > ranks.indexOf(this.#wanted)) this.#wanted = wanted;
  }

  /** Reads the first pages, and further ones until they meet a loaded call. */
  async #request(pages: number, { isReplacing }: { isReplacing: boolean }): Promise<void> {
    if (this.#isRequesting) {
      this.#want(isReplacing ? 'everything' : 'loaded');
      return;
    }
    const { signal } = this.#abort;
    if (this.next.kind !== 'loading') this.#unloaded.clear();
    this.#isRequesting = true;
    this.#requestedAt = this.#now();
    const events = this.#events;
    const calls: Call[] = [];
    let cursor: string | null = null;
    try {
      for (let index = 0; index < MAX_RELOADED_PAGES; index += 1) {
        const page = await this.#source.readPage(cursor, signal);
        if (signal.aborted) return;
        calls.push(...page.calls);
        cursor = page.nextCursor;
        this.#setTotal(page);
        const isEnough = index + 1 >= pages && (isReplacing || calls.some(({ id }) => this.#rows.has(id)));
        if (cursor === null || isEnough || this.order.length === 0) break;
      }
      this.#merge(calls, { cursor, events, isReplacing });
      this.first = IDLE;
    } catch (error) {
      if (signal.aborted) return;
      // The list stays, and the next events cause the next attempt.
      if (this.order.length === 0) this.first = { kind: 'failed', error };
      this.#want(isReplacing ? 'everything' : 'newest');
    } finally {
      if (!signal.aborted) {
        this.#isRequesting = false;
        this.#notify();
      }
    }
  }

  /** Reads the visible rows again, for their participants. */
  async #refreshStale(rows: readonly Row[]): Promise<void> {
    const { readPeriod } = this.#source;
    const ids = rows.map(({ call }) => call.id);
    if (readPeriod === null) {
      this.#fresh(ids);
      this.#want('newest');
      return;
    }
    const { signal } = this.#abort;
    const times = rows.map(({ call }) => call.createdAt).sort();
    const [from] = times;
    const to = times.at(-1);
    if (from === undefined || to === undefined) return;
    this.#isRequesting = true;
    this.#requestedAt = this.#now();
    const events = this.#events;
    try {
      const calls = await readPeriod(from, to, signal);
      if (signal.aborted) return;
      this.#fresh(ids.filter((id) => (this.#rows.get(id)?.changedBy ?? 0) <= events));
      for (const call of calls) if (this.#rows.has(call.id)) this.#put(call, events);
    } catch {
      // The next tick tries again.
    } finally {
      if (!signal.aborted) {
        this.#isRequesting = false;
        this.#notify();
      }
    }
  }

  #fresh(ids: readonly string[]): void {
    for (const id of ids) {
      const row = this.#rows.get(id);
      if (row?.isStale) this.#set({ ...row, isStale: false });
    }
  }

  /**
   * Puts the first pages of the list in place of its begin. Rows that left the list stay in their place until the next
   * sweep, so that no row moves without need.
   */
  #merge(
    calls: readonly Call[],
    { cursor, events, isReplacing }: { cursor: string | null; events: number; isReplacing: boolean },
  ): void {
    const fetched = new Set(calls.map(({ id }) => id));
    const old = this.order;
    const last = isReplacing ? old.length - 1 : old.findLastIndex(({ id }) => fetched.has(id));
    // Without a common call, the end of the old list would not follow these pages.
    const keepsEnd = last >= 0 && !isReplacing && cursor !== null;
    const begin = keepsEnd ? old.slice(0, last + 1) : old;
    const end = keepsEnd ? old.slice(last + 1).filter(({ id }) => !fetched.has(id)) : [];
    const refs = new Map(old.map((ref) => [ref.id, ref]));
    for (const call of calls) this.#put(call, events);
    const leaving = this.#leavingAfter(begin, fetched, { isComplete: cursor === null });
    const order = [
      ...(leaving.get(null) ?? []),
      ...[...fetched].flatMap((id) => [refs.get(id) ?? { id }, ...(leaving.get(id) ?? [])]),
      ...end,
    ];
    const isSameOrder = order.length === old.length && order.every((ref, index) => ref === old[index]);
    if (!keepsEnd) {
      this.#cursor = cursor;
      this.#loadedPages = Math.max(1, Math.ceil(calls.length / 100));
      const kept = new Set(order.map(({ id }) => id));
      for (const id of this.#rows.keys()) if (!kept.has(id)) this.#rows.delete(id);
    }
    if (!isSameOrder) this.order = order;
  }

  /** Returns the rows that are not on the fetched pages, by the fetched row that they follow. */
  #leavingAfter(
    begin: readonly RowRef[],
    fetched: ReadonlySet<string>,
    { isComplete }: { isComplete: boolean },
  ): Map<string | null, RowRef[]> {
    const leaving = new Map<string | null, RowRef[]>();
    const lastFetched = begin.findLastIndex(({ id }) => fetched.has(id));
    let after: string | null = null;
    for (const [index, ref] of begin.entries()) {
      if (fetched.has(ref.id)) {
        after = ref.id;
        continue;
      }
      // Rows after the last fetched one belong to later pages, which the reader loads again.
      if (index > lastFetched && !isComplete) break;
      const row = this.#rows.get(ref.id);
      if (row === undefined) continue;
      if (row.leftAt === null) this.#set({ ...row, leftAt: this.#now() });
      leaving.set(after, [...(leaving.get(after) ?? []), ref]);
    }
    return leaving;
  }

  #sweep(now: number): void {
    const isGone = ({ id }: RowRef) => {
      const leftAt = this.#rows.get(id)?.leftAt ?? null;
      return leftAt !== null && now - leftAt >= LINGER_MS;
    };
    const gone = this.order.filter(isGone);
    if (gone.length === 0) return;
    for (const { id } of gone) this.#rows.delete(id);
    this.order = this.order.filter(({ id }) => this.#rows.has(id));
    this.#notify();
  }

  #put(call: Call, events: number): void {
    const old = this.#rows.get(call.id);
    const known = old === undefined ? this.#unloaded.get(call.id) : { ...old, status: old.call.status };
    const isNewer = known !== undefined && known.changedBy > events;
    const shown = isNewer ? withStatus(call, known.status) : call;
    const leftAt = matchesStatus(this.filter, shown.status) ? null : (old?.leftAt ?? this.#now());
    this.#set({
      call: shown,
      deletion: old?.deletion ?? null,
      leftAt,
      isStale: isNewer,
      changedBy: known?.changedBy ?? 0,
    });
  }

  #set(row: Row): void {
    this.#rows.set(row.call.id, row);
    // A stop of 10,000 calls sends as many events each few seconds.
    this.#notifyTimer ??= setTimeout(() => this.#notify(), NOTIFY_INTERVAL_MS);
  }

  #setTotal({ total, isTotalCapped }: CallPage): void {
    this.total = { count: total, isCapped: isTotalCapped };
  }

  #notify(): void {
    clearTimeout(this.#notifyTimer);
    this.#notifyTimer = undefined;
    this.version += 1;
    for (const listener of this.#listeners) listener();
  }
}
