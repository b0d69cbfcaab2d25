import type { Inputs, Outputs } from './trpc.ts';

/** A participant on record. */
export interface RoomParticipant {
  readonly identity: string;
  readonly role: 'agent' | 'person' | 'phone';
  readonly joinedAt: string;
}

type ListItem = Outputs['calls']['list']['calls'][number];
export type Call = ListItem & {
  readonly room?: { readonly name: string; readonly participants: readonly RoomParticipant[] } | undefined;
};
export type CallStatus = ListItem['status'];
export type Direction = ListItem['direction'];
export type ListCallsInput = Inputs['calls']['list'];

export const LIVE_STATUSES = [
  'initiated',
  'connecting',
  'ringing',
  'active',
] as const satisfies readonly CallStatus[];
export type LiveStatus = (typeof LIVE_STATUSES)[number];
export const ENDED_STATUSES = [
  'completed',
  'failed',
  'cancelled',
  'no_answer',
  'busy',
] as const satisfies readonly Exclude<CallStatus, LiveStatus>[];
export const CALL_STATUSES: readonly CallStatus[] = [...LIVE_STATUSES, ...ENDED_STATUSES];
export const DIRECTIONS = ['inbound', 'outbound'] as const satisfies readonly Direction[];

export function isLive(status: CallStatus): status is LiveStatus {
  return LIVE_STATUSES.some((live) => live === status);
}
