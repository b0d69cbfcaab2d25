import type { CallCommand, CommandKind } from '../../src/domain/call-command.ts';
import { isLive } from '../../src/domain/call-status.ts';
import type { CallFilter, CancellationSelector } from '../../src/domain/cancellation.ts';
import type { CreateCancellationResult } from '../../src/ports/store.ts';
import type { Clock } from '../../src/ports/system.ts';
import type { LocalStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { CallRow, CancellationRecord, DatabaseInspector } from './database-inspector.ts';
import { type EventLog, InvariantViolation } from './event-log.ts';
import { ONCE } from './operators.ts';

/** For this long after the POST a call that starts to match is cancelled also without a hold. */
const MATCHING_MS = 300_000;

/** A cancellation of many calls, with the calls that must end. */
interface Tracked {
  readonly id: string;
  readonly organizationId: string;
  readonly selector: CancellationSelector;
  /** By the clock of the process that committed the POST. */
  readonly createdAt: number;
  /** Ids of the live calls that matched when the POST was committed. */
  readonly matchedAtStart: ReadonlySet<string>;
  /** When each later call was first observed to match, while no hold was active. By call id. */
  readonly matchedLater: Map<string, number>;
  /** Number of the selected ids that were no call of the organization when the POST was committed. */
  readonly unknownIds: number;
  readonly recorded: Set<string>;
  readonly hadHold: boolean;
  isHeld: boolean;
  isCompleted: boolean;
}

type Attributes = Pick<
  CallRow,
  'id' | 'organizationId' | 'agentId' | 'direction' | 'phoneNumber' | 'createdAt' | 'status'
>;

/**
 * Checks the invariants of cancellations and holds at each commit of each process. Decides by its own code which calls match.
 */
export class CancellationMonitor {
  readonly #database: DatabaseInspector;
  readonly #eventLog: EventLog;
  readonly #fail: (failure: Error) => void;
  readonly #onCancelled: (callId: string) => void;
  readonly #tracked = new Map<string, Tracked>();

  constructor({
    database,
    eventLog,
    fail,
    onCancelled,
  }: {
    database: DatabaseInspector;
    eventLog: EventLog;
    fail: (failure: Error) => void;
    /** Called when a cancellation has recorded a call. */
    onCancelled: (callId: string) => void;
  }) {
    this.#database = database;
    this.#eventLog = eventLog;
    this.#fail = fail;
    this.#onCancelled = onCancelled;
  }

  /** Returns the store of a process with checks after each commit. A commit is complete when the method has returned. */
  observe(store: LocalStore, clock: Clock): LocalStore {
    return {
      ...store,
      createCancellation: async (input) => {
        const { cancellation, expectedAtMost, isDryRun } = input;
        const { id, organizationId, selector } = cancellation;
        const matching = this.#database.liveOf(organizationId).filter((call) => matches(call, selector));
        const pending = store.createCancellation(input);
        const row = this.#database.findCancellation(id);
        if (row !== null && !this.#tracked.has(id)) this.#track(row, matching);
        const replayable = await pending;
        if (!replayable.isReplay)
          this.#checkCreated(replayable.result, { matching, expectedAtMost, isDryRun, id });
        return replayable;
      },
      advanceCancellation: (input) => {
        const pending = store.advanceCancellation(input);
        const tracked = this.#tracked.get(input.id);
        if (tracked !== undefined) this.#advanced(tracked);
        return pending;
      },
      liftHold: (input) => {
        const pending = store.liftHold(input);
        const tracked = this.#tracked.get(input.id);
        const isHeld = this.#database.findCancellation(input.id)?.isHeld ?? false;
        if (tracked?.isHeld && !isHeld) this.#eventLog.count('hold: lifted');
        if (tracked !== undefined) tracked.isHeld = isHeld;
        return pending;
      },
      changeCall: async <Kind extends CommandKind>(given: CallCommand<Kind>) => {
        const command = given as CallCommand;
        const holds = command.kind === 'register' ? this.#holdsOf(command.call) : [];
        const pending = store.changeCall(given);
        for (const call of this.#callsOf(command)) {
          if (isLive(call.status)) this.#changed(call, clock.now());
          // By a hold, also after the completion of its cancellation.
          else if (call.status === 'cancelled') this.#onCancelled(call.id);
        }
        const changed = await pending;
        const { result } = changed;
        if (result !== null && result.kind === 'held') {
          this.#eventLog.count('hold: registration refused');
          const { cancellationId } = result;
          if (!holds.some(({ id }) => id === cancellationId))
            this.#violation(`a registration is refused by ${cancellationId}, which does not hold the call`);
        }
        for (const { toStatus, cancellationId } of changed.events)
          if (toStatus === 'cancelled' && cancellationId !== null)
            this.#eventLog.count('hold: call cancelled');
        return changed;
      },
    };
  }

  /** Every cancellation is complete: LiveKit has been reachable for long enough. */
  assertCompleted(): void {
    for (const { id, isCompleted } of this.#tracked.values())
      if (!isCompleted) throw new InvariantViolation(`the cancellation ${id} is still running`);
  }

  /** Checks the final records. */
  assertConsistent(): void {
    this.assertCompleted();
    for (const tracked of this.#tracked.values()) this.#assertFinal(tracked);
    this.#assertOneCancelOfEachCall();
    this.#assertKeysStartedOnce();
  }

  #track(row: CancellationRecord, matching: readonly CallRow[]): void {
    const { id, organizationId, selector, createdAt, isHeld } = row;
    const ids = 'callIds' in selector ? selector.callIds : [];
    this.#eventLog.count(`cancellation: ${Object.keys(selector).join()}${isHeld ? ' with a hold' : ''}`);
    for (const { roomName } of matching) this.#eventLog.record(roomName, `POST of ${id}: matches`);
    this.#tracked.set(id, {
      id,
      organizationId,
      selector,
      createdAt,
      matchedAtStart: new Set(matching.map((call) => call.id)),
      matchedLater: new Map(),
      unknownIds: ids.filter((id) => this.#database.find(id)?.organizationId !== organizationId).length,
      recorded: new Set(),
      hadHold: isHeld,
      isHeld,
      isCompleted: false,
    });
  }

  #checkCreated(
    result: CreateCancellationResult,
    {
      matching,
      expectedAtMost,
      isDryRun,
      id,
    }: { matching: readonly CallRow[]; expectedAtMost: number | null; isDryRun: boolean; id: string },
  ): void {
    this.#eventLog.count(`POST of a cancellation: ${result.kind}`);
    const isTooMany = expectedAtMost !== null && matching.length > expectedAtMost;
    const expected = isTooMany ? 'too_many' : isDryRun ? 'previewed' : 'created';
    const problem = (text: string) => this.#violation(`the POST of ${id} ${text}`);
    if (result.kind !== expected) problem(`is ${result.kind} instead of ${expected}`);
    if (result.kind !== 'created' && this.#tracked.has(id)) problem(`is ${result.kind}, and started`);
    if (result.kind === 'too_many' && result.matched !== matching.length)
      problem(`counts ${result.matched} calls instead of ${matching.length}`);
    if (result.kind !== 'previewed') return;
    for (const [status, count] of Object.entries(result.preview.matched)) {
      const expectedCount = matching.filter((call) => call.status === status).length;
      if (count !== expectedCount) problem(`counts ${count} ${status} calls instead of ${expectedCount}`);
    }
  }

  #holdsOf(call: Attributes): Tracked[] {
    const holds = [...this.#tracked.values()].filter(({ isHeld }) => isHeld);
    return holds.filter((hold) => selects(hold, call));
  }

  /** Returns the calls that a command may have changed. */
  #callsOf(command: CallCommand): readonly CallRow[] {
    if (![...this.#tracked.values()].some(isOpen)) return [];
    // A new call may begin in the room of the call.
    const inRoomOf = (callId: string) => this.#database.callsIn(this.#database.find(callId)?.roomName ?? '');
    switch (command.kind) {
      case 'register':
        return inRoomOf(command.call.id);
      case 'room_event':
        return this.#database.callsIn(command.event.room.name);
      case 'observation': {
        const { observation } = command;
        return observation.kind === 'room'
          ? this.#database.callsIn(observation.room.name)
          : inRoomOf(observation.callId);
      }
      default:
        return [];
    }
  }

  /** A live call may match now. Under a hold, the commit that made it match must have cancelled it. */
  #changed(call: CallRow, now: number): void {
    for (const tracked of this.#tracked.values()) {
      if (!isOpen(tracked) || !selects(tracked, call)) continue;
      const { id, matchedAtStart, matchedLater, isHeld, isCompleted } = tracked;
      // Calls that matched before the hold wait to be recorded.
      const isWaiting = !isCompleted && (matchedAtStart.has(call.id) || matchedLater.has(call.id));
      if (isHeld && !isWaiting)
        this.#violation(`call ${call.id} is ${call.status} under the hold of ${id}`, call.roomName);
      if (isCompleted || isWaiting) continue;
      this.#eventLog.count('cancellation: a call starts to match');
      matchedLater.set(call.id, now);
    }
  }

  #advanced(tracked: Tracked): void {
    const { id, recorded } = tracked;
    for (const call of this.#database.cancelledBy(id)) {
      if (recorded.has(call.id)) continue;
      recorded.add(call.id);
      this.#eventLog.count('cancellation: call recorded');
      this.#eventLog.record(call.roomName, `cancelled by ${id}`);
      this.#onCancelled(call.id);
    }
    if (tracked.isCompleted) return;
    const row = this.#database.findCancellation(id);
    if (row?.state !== 'completed') return;
    tracked.isCompleted = true;
    this.#eventLog.count('cancellation: completed');
    this.#checkCompletion(tracked, row);
  }

  #checkCompletion(tracked: Tracked, { counts }: CancellationRecord): void {
    const { id, organizationId, selector, createdAt, matchedAtStart, matchedLater, isHeld, hadHold } =
      tracked;
    const wasLifted = hadHold && !isHeld;
    for (const call of this.#database.liveOf(organizationId)) {
      const problem = (text: string) =>
        this.#violation(`${id} is completed, and call ${call.id}, ${call.status}, ${text}`, call.roomName);
      const since = matchedLater.get(call.id);
      if (matchedAtStart.has(call.id)) problem('matched at its POST');
      // Ids that were registered after their turn are not found.
      else if ('callIds' in selector) continue;
      else if (since !== undefined && !wasLifted && since - createdAt < MATCHING_MS)
        problem('started to match in time');
      else if (matches(call, selector) && (isHeld || since === undefined)) problem('matches');
    }
    const { cancelled, rooms } = counts;
    const problem = (text: string) => this.#violation(`${id} is completed, and ${text}`);
    const open = this.#database.deletionsOf(id).find(({ state }) => !isFinal(state));
    if (open !== undefined) problem(`the deletion of ${open.callId} is ${open.state}`);
    if (rooms.pending !== 0) problem(`counts ${rooms.pending} pending deletions`);
    const calls = this.#database.cancelledBy(id).length;
    if (cancelled !== calls) problem(`counts ${cancelled} cancelled calls instead of ${calls}`);
    if (rooms.deleted + rooms.discarded !== cancelled)
      problem(`counts ${rooms.deleted} + ${rooms.discarded} rooms of ${cancelled} calls`);
  }

  #assertFinal(tracked: Tracked): void {
    const { id, organizationId, selector, isHeld, unknownIds, matchedAtStart } = tracked;
    const row = this.#database.findCancellation(id);
    const violation = (text: string, roomName: string | null = null) =>
      new InvariantViolation(`the cancellation ${id} ${text}`, roomName);
    if (row === null) throw violation('is not on record');
    const { counts } = row;
    if (isHeld) {
      const held = this.#database.liveOf(organizationId).find((call) => matches(call, selector));
      if (held !== undefined) throw violation(`holds the live call ${held.id}`, held.roomName);
    }
    const calls = this.#database.cancelledBy(id);
    const foreign = calls.find((call) => call.organizationId !== organizationId);
    if (foreign !== undefined)
      throw violation(`cancelled the call ${foreign.id} of another organization`, foreign.roomName);
    const left = [...matchedAtStart].find((callId) =>
      isLive(this.#database.find(callId)?.status ?? 'failed'),
    );
    if (left !== undefined) throw violation(`left the call ${left} alive`);
    const other = calls.find(
      (call) => !matchedAtStart.has(call.id) && !matches(call, withoutStatus(selector)),
    );
    if (other !== undefined) throw violation(`cancelled the call ${other.id}`, other.roomName);
    const byId = new Set(calls.map((call) => call.id));
    const deletions = this.#database.deletionsOf(id);
    if (deletions.length !== byId.size || deletions.some(({ callId }) => !byId.has(callId)))
      throw violation(`has ${deletions.length} deletions of ${byId.size} calls`);
    const { cancelled, alreadyEnded, notFound } = counts;
    // A hold cancels calls after the completion, when the counts are final.
    const isFrozen = tracked.hadHold ? cancelled <= byId.size : cancelled === byId.size;
    if (!isFrozen) throw violation(`counts ${cancelled} cancelled calls instead of ${byId.size}`);
    const ids = 'callIds' in selector ? selector.callIds : null;
    if (ids === null && alreadyEnded + notFound > 0) throw violation(`counts ${JSON.stringify(counts)}`);
    if (ids !== null && cancelled + alreadyEnded + notFound !== ids.length)
      throw violation(`counts ${JSON.stringify(counts)} of ${ids.length} ids`);
    const stillUnknown =
      ids?.filter((id) => this.#database.find(id)?.organizationId !== organizationId) ?? [];
    if (ids !== null && (notFound > unknownIds || notFound < stillUnknown.length))
      throw violation(`counts ${notFound} unknown ids instead of ${unknownIds}`);
    this.#assertProgress(row);
  }

  /** The first event is the POST, and the last is the only completion. Its counts are those of the record. */
  #assertProgress({ id, counts }: CancellationRecord): void {
    const events = this.#database.progressOf(id);
    const completions = events.filter(({ state }) => state === 'completed');
    const isComplete = completions.length === 1 && completions[0] === events.at(-1) && events.length >= 2;
    const last = JSON.stringify(events.at(-1)?.counts);
    if (!isComplete || last !== JSON.stringify(counts))
      throw new InvariantViolation(`the progress of the cancellation ${id} ends with ${last}`);
  }

  #assertKeysStartedOnce(): void {
    const reasons = new Set<string>();
    for (const id of this.#tracked.keys()) {
      const reason = this.#database.findCancellation(id)?.reason ?? '';
      if (reason.endsWith(ONCE) && reasons.has(reason))
        throw new InvariantViolation(
          `the Idempotency-Key of ${reason} started ${id}, its second cancellation`,
        );
      reasons.add(reason);
    }
  }

  /** Each cancelled call has one event to `cancelled`, which names its cancellation, who and why. */
  #assertOneCancelOfEachCall(): void {
    const events = Map.groupBy(this.#database.cancelEvents(), ({ callId }) => callId);
    for (const call of this.#database.all()) {
      const [event, ...others] = events.get(call.id) ?? [];
      const violation = (text: string) =>
        new InvariantViolation(`call ${call.id}, ${call.status}, ${text}`, call.roomName);
      if ((event !== undefined) !== (call.status === 'cancelled') || others.length > 0)
        throw violation(`has ${others.length + (event === undefined ? 0 : 1)} events of a cancel`);
      if (event === undefined) continue;
      const { cancellationId } = event;
      if (cancellationId !== call.cancellationId || event.organizationId !== call.organizationId)
        throw violation(`is of ${call.cancellationId}, and its event is of ${cancellationId}`);
      const tracked = cancellationId === null ? undefined : this.#tracked.get(cancellationId);
      if (cancellationId === null) continue;
      const row = this.#database.findCancellation(cancellationId);
      if (row === null || tracked === undefined) throw violation(`names ${cancellationId}`);
      if (event.actorId !== row.createdBy || event.reason !== row.reason)
        throw violation(`was cancelled by ${event.actorId}: ${event.reason}`);
      const statuses = 'filter' in row.selector ? row.selector.filter.status : undefined;
      const { matchedAtStart, matchedLater } = tracked;
      const wasWaiting = matchedAtStart.has(call.id) || matchedLater.has(call.id);
      if (statuses?.every((status) => status !== event.fromStatus) && !wasWaiting)
        throw violation(`was ${event.fromStatus} when ${cancellationId} cancelled it`);
    }
  }

  #violation(message: string, roomName: string | null = null): void {
    this.#fail(new InvariantViolation(message, roomName));
  }
}

const isOpen = ({ isHeld, isCompleted }: Tracked) => isHeld || !isCompleted;
const isFinal = (state: string) => state === 'completed' || state === 'discarded';

function selects({ organizationId, selector }: Tracked, call: Attributes): boolean {
  return call.organizationId === organizationId && matches(call, selector);
}

function matches(call: Attributes, selector: CancellationSelector): boolean {
  if ('all' in selector) return true;
  if ('callIds' in selector) return selector.callIds.includes(call.id);
  const { agentId, status, direction, phoneNumber, from, to }: CallFilter = selector.filter;
  if (agentId !== undefined && agentId !== call.agentId) return false;
  if (direction !== undefined && direction !== call.direction) return false;
  if (phoneNumber !== undefined && phoneNumber !== call.phoneNumber) return false;
  if (call.createdAt < (from ?? -Infinity) || call.createdAt > (to ?? Infinity)) return false;
  return status?.some((one) => one === call.status) ?? true;
}

function withoutStatus(selector: CancellationSelector): CancellationSelector {
  return 'filter' in selector ? { filter: { ...selector.filter, status: undefined } } : selector;
}
