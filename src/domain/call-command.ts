import type { AppliedChange, CallDecision, CallSelection, CallSnapshot } from './call-change.ts';
import type { IdempotentRequest } from './idempotency.ts';
import { type CancelCommand, type CancelResult, onCancel, selectForCancel } from './on-cancel.ts';
import { type ObservationCommand, onObservation, selectForObservation } from './on-observation.ts';
import { onRegister, type RegisterCommand, type RegisterResult, selectForRegister } from './on-register.ts';
import {
  onRoomEvent,
  type RoomEventCommand,
  type RoomEventResult,
  selectForRoomEvent,
} from './on-room-event.ts';
import { onStop, type StopCommand, type StopResult, selectForStop } from './on-stop.ts';

interface Commands {
  register: RegisterCommand;
  cancel: CancelCommand;
  stop: StopCommand;
  room_event: RoomEventCommand;
  observation: ObservationCommand;
}

export interface CommandResults {
  register: RegisterResult;
  cancel: CancelResult;
  stop: StopResult;
  room_event: RoomEventResult;
  observation: AppliedChange | null;
}

export type CommandKind = keyof Commands;

/** A requested change of a call, as plain data: writes run on another thread, and a message cannot carry a function. */
export type CallCommand<Kind extends CommandKind = CommandKind> = {
  [K in Kind]: { readonly kind: K } & Commands[K];
}[Kind];

type Handlers = {
  readonly [K in CommandKind]: {
    readonly select: (command: CallCommand<K>) => CallSelection;
    readonly decide: (snapshot: CallSnapshot, command: CallCommand<K>) => CallDecision<CommandResults[K]>;
    /** Most commands of this kind change nothing. The store decides on a read first, without the write lock. */
    readonly isUsuallyNoChange: boolean;
  };
};

const HANDLERS: Handlers = {
  register: { select: selectForRegister, decide: onRegister, isUsuallyNoChange: false },
  cancel: { select: selectForCancel, decide: onCancel, isUsuallyNoChange: false },
  stop: { select: selectForStop, decide: onStop, isUsuallyNoChange: false },
  room_event: { select: selectForRoomEvent, decide: onRoomEvent, isUsuallyNoChange: false },
  observation: { select: selectForObservation, decide: onObservation, isUsuallyNoChange: true },
};

/** Returns the rows to load for a command, and the decision on them. Pure: it may run again on newer rows. */
export function handlerOf<Kind extends CommandKind>(
  command: CallCommand<Kind>,
): {
  readonly selection: CallSelection;
  readonly decide: (snapshot: CallSnapshot) => CallDecision<CommandResults[Kind]>;
  readonly isUsuallyNoChange: boolean;
  /** Not null: the request has an Idempotency-Key. */
  readonly idempotency: IdempotentRequest | null;
} {
  const { select, decide, isUsuallyNoChange } = HANDLERS[command.kind];
  const selection = select(command);
  const { organizationId } = selection;
  const requestKey = 'idempotency' in command ? command.idempotency : null;
  return {
    selection,
    decide: (snapshot) => decide(snapshot, command),
    isUsuallyNoChange,
    idempotency: requestKey == null || organizationId === null ? null : { organizationId, ...requestKey },
  };
}
