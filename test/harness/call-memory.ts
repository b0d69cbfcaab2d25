import type { AuditEvent } from '../../src/domain/audit.ts';
import { type Call, newCall } from '../../src/domain/call.ts';
import type { CallSelection, CallSnapshot } from '../../src/domain/call-change.ts';
import {
  type CallCommand,
  type CommandKind,
  type CommandResults,
  handlerOf,
} from '../../src/domain/call-command.ts';
import { isLive } from '../../src/domain/call-status.ts';
import type { ActiveHold, RunningCancellation } from '../../src/domain/hold.ts';
import { checkIdempotency, type IdempotentResponse, KEY_REUSED } from '../../src/domain/idempotency.ts';
import type { Observation } from '../../src/domain/observation.ts';
import type { CancelCommand } from '../../src/domain/on-cancel.ts';
import type { RoomDeletion } from '../../src/domain/room-deletion.ts';
import type { RoomEvent, RoomEventPayload } from '../../src/domain/room-event.ts';
import { POLICY } from './rosters.ts';

export const ROOM = { name: 'room', sid: 'RM_1', createdAt: 2_000, metadata: '' };

/** Returns an in-memory store of calls for tests of the decisions. Times are arguments. */
export function createCallMemory() {
  const calls = new Map<string, Call>();
  const deletions = new Map<string, RoomDeletion>();
  const prefixes = new Map<string, string>();
  const receivedEventIds = new Set<string>();
  const responses = new Map<string, IdempotentResponse>();
  const holds: ActiveHold[] = [];
  const runningCancellations: RunningCancellation[] = [];
  const audit: AuditEvent[] = [];
  let lastEvent = 0;

  function load({ target, newCallId, eventId }: CallSelection, now: number): CallSnapshot {
    const selected = 'callId' in target ? (calls.get(target.callId) ?? null) : null;
    const roomName = 'callId' in target ? selected?.roomName : target.roomName;
    const inRoom = [...calls.values()]
      .filter((call) => call.roomName === roomName)
      .toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
    const [newest = null, previousCall = null] = inRoom;
    const call = 'callId' in target ? selected : newest;
    const incomplete = [...deletions.values()].filter(({ state }) => state !== 'completed');
    const [prefix] = [...prefixes.keys()]
      .filter((prefix) => roomName?.startsWith(prefix))
      .toSorted((a, b) => b.length - a.length);
    return {
      now,
      call,
      isNewestInRoom: call !== null && call === newest,
      previousCall: 'callId' in target ? null : previousCall,
      hasLiveCallInRoom: inRoom.some(({ status }) => isLive(status)),
      deletion: deletions.get(call?.id ?? '') ?? null,
      incompleteDeletion: incomplete.find((deletion) => deletion.roomName === roomName) ?? null,
      adoption: prefix === undefined ? null : { prefix, organizationId: prefixes.get(prefix) ?? '' },
      isIdTaken: calls.has(newCallId ?? ''),
      isDuplicateEvent: receivedEventIds.has(eventId ?? ''),
      holds,
      runningCancellations,
    };
  }

  function change<Kind extends CommandKind>(command: CallCommand<Kind>, now: number): CommandResults[Kind] {
    const { selection, decide, idempotency } = handlerOf(command);
    const requestKey = idempotency && JSON.stringify([idempotency.organizationId, idempotency.key]);
    if (idempotency !== null && requestKey !== null) {
      const check = checkIdempotency(idempotency, responses.get(requestKey) ?? null, now);
      if (check.kind === 'reused') return KEY_REUSED as CommandResults[Kind];
      if (check.kind === 'replay') return JSON.parse(check.outcome) as CommandResults[Kind];
    }
    const { changes, receivedEventId, outcome, result } = decide(load(selection, now));
    if (receivedEventId !== null) receivedEventIds.add(receivedEventId);
    if (idempotency !== null && requestKey !== null && outcome !== null) {
      responses.set(requestKey, { ...idempotency, createdAt: now, outcome: JSON.stringify(outcome) });
    }
    for (const { call, isNew, deletions: written, events } of changes) {
      if (calls.has(call.id) === isNew) throw new Error(`call ${call.id} is new: ${isNew}`);
      calls.set(call.id, call);
      for (const deletion of written) deletions.set(deletion.callId, deletion);
      audit.push(...events);
    }
    return result;
  }

  const deletionOf = (callId: string) => deletions.get(callId) ?? null;
  return {
    change,
    call: (id = 'c1') => calls.get(id),
    calls: () => [...calls.values()],
    deletionOf,
    auditOf: (callId: string) => audit.filter(({ subjectId }) => subjectId === callId),
    addHold: (hold: ActiveHold) => void holds.push(hold),
    addPrefix: (prefix: string, organizationId = 'org') => void prefixes.set(prefix, organizationId),
    register: (parts: Partial<Call> & { id: string }, apiKeyId: string | null = 'key') => {
      const call = newCall({ organizationId: 'org', roomName: parts.id, createdAt: 1_000, ...parts });
      return change({ kind: 'register', call, apiKeyId }, 1_000);
    },
    cancel: (callId: string, now = 2_000, parts: Partial<CancelCommand> = {}) =>
      change(
        {
          kind: 'cancel',
          callId,
          organizationId: 'org',
          apiKeyId: 'key',
          reason: null,
          leaseMs: 7_000,
          idempotency: null,
          ...parts,
        },
        now,
      ),
    receive: (
      payload: RoomEventPayload,
      { now = 5_000, at = null as number | null, id = '', in: room = ROOM as RoomEvent['room'] } = {},
    ) => {
      lastEvent += 1;
      const event = { id: id || `EV_${lastEvent}`, at: at ?? now, room, payload };
      const adopted = { id: `adopted_${lastEvent}`, agentId: 'a' };
      return change({ kind: 'room_event', event, policy: POLICY, adopted }, now);
    },
    observe: (observation: Observation, now = 5_000, leaseMs: number | null = null) => {
      const adopted = { id: 'adopted', agentId: null };
      return change({ kind: 'observation', observation, policy: POLICY, adopted, leaseMs }, now);
    },
    /** Ends the lease of a deletion. */
    settle: (callId: string, now = 3_000, state: 'completed' | 'discarded' = 'completed') => {
      const deletion = deletionOf(callId);
      if (deletion === null) throw new Error(`call ${callId} has no deletion`);
      deletions.set(callId, { ...deletion, state, finalizedAt: now });
    },
    /** Returns the ids of calls with a due review, in the order in which they are due. */
    dueReviews: (now: number) =>
      [...calls.values()]
        .filter(({ reviewAt }) => reviewAt !== null && reviewAt <= now)
        .toSorted((a, b) => (a.reviewAt ?? 0) - (b.reviewAt ?? 0))
        .map(({ id }) => id),
  };
}

export type CallMemory = ReturnType<typeof createCallMemory>;
