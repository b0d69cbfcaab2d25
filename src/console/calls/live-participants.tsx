import { isLive } from '../api/call.ts';
import { texts } from '../texts.ts';
import { Badge } from '../ui/badge.tsx';
import { ClientText, NameAndId } from '../ui/client-text.tsx';
import { Age, useNow } from '../ui/time.tsx';
import type { CallDetails } from './call-page.tsx';
import { isNotGone } from './room-deletion-card.tsx';

const words = texts.call;

/** The participants that LiveKit lists now. */
export function LiveParticipants({ call }: { call: CallDetails }) {
  const now = useNow();
  const { status, liveRoomStatus } = call;
  if (!isLive(status)) {
    return <Note text={isNotGone(call) ? words.participantsNotGone : words.participantsEnded} />;
  }
  if (liveRoomStatus === null) {
    return (
      <p role="status" className="rounded-md bg-warning-soft p-2 text-sm text-warning-ink">
        {words.participantsUnknown}
      </p>
    );
  }
  if (!liveRoomStatus.roomExists) return <Note text={words.roomAbsent} />;
  const { participants } = liveRoomStatus;
  if (participants.length === 0) return <Note text={words.roomEmpty} />;
  return (
    <ul className="flex flex-col gap-3 text-sm">
      {participants.map(({ identity, name, kind, state, joinedAt }) => (
        <li key={identity} className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
          <Badge>{words.kinds[kind] ?? kind.toLowerCase()}</Badge>
          <span className="[overflow-wrap:anywhere]">
            {name === '' ? <ClientText text={identity} /> : <NameAndId name={name} id={identity} />}
          </span>
          <span className="text-muted">
            {words.participantStates[state] ?? state.toLowerCase()}
            {joinedAt !== null && (
              <>
                {' '}
                {words.forTime} <Age iso={joinedAt} now={now} />
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

function Note({ text }: { text: string }) {
  return <p className="text-sm text-muted">{text}</p>;
}
