import { type Call, isLive, type RoomParticipant } from '../api/call.ts';
import { texts } from '../texts.ts';

const ROLES = ['agent', 'phone', 'person'] as const;

/** The participants in a call's room by their roles, with the identities on hover. */
export function Participants({ call }: { call: Call }) {
  const { room, status } = call;
  if (!isLive(status) || room === undefined) return <span className="text-muted">{'–'}</span>;
  const { participants } = room;
  if (participants.length === 0) return <span className="text-muted">{texts.calls.nobody}</span>;
  const identities = participants.map(({ identity }) => identity).join('\n');
  return <span title={identities}>{summarize(participants)}</span>;
}

function summarize(participants: readonly RoomParticipant[]): string {
  const parts = ROLES.flatMap((role) => {
    const count = participants.filter((participant) => participant.role === role).length;
    return count === 0 ? [] : [texts.calls.roles[role](count)];
  });
  return parts.join(', ');
}
