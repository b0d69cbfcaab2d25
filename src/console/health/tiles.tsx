import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { LIVE_STATUSES } from '../api/call.ts';
import type { Outputs } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Badge } from '../ui/badge.tsx';
import { Age, Ago, Time, useNow } from '../ui/time.tsx';

type Health = Outputs['health']['get'];

const LIVEKIT_COLORS: Record<Health['livekit']['state'], string> = {
  up: 'text-success-ink',
  down: 'text-danger-ink',
  unknown: 'text-muted',
};

/** The health in six tiles. */
export function Tiles({ health }: { health: Health }) {
  const now = useNow();
  const { livekit, lastWebhookAt, liveCalls, roomDeletions, cancellations, store, version, startedAt } =
    health;
  const { tiles } = texts.health;
  const left = roomDeletions.open + roomDeletions.discarded;
  return (
    <dl className="grid gap-3 sm:grid-cols-2 xl:grid-cols-3">
      <Tile
        label={tiles.livekit}
        value={
          <span className={`inline-flex items-center gap-2 ${LIVEKIT_COLORS[livekit.state]}`}>
            <span aria-hidden="true" className="size-2.5 rounded-full bg-current" />
            {tiles.livekitStates[livekit.state]}
          </span>
        }
      >
        {livekit.since !== null && (
          <>
            {tiles.since} <Time iso={livekit.since} />
          </>
        )}
        {livekit.state === 'down' && <p>{tiles.livekitDown}</p>}
      </Tile>
      <Tile
        label={tiles.webhook}
        value={lastWebhookAt === null ? tiles.noWebhook : <Ago iso={lastWebhookAt} now={now} />}
      >
        {lastWebhookAt === null ? tiles.noWebhookHint : <Time iso={lastWebhookAt} />}
      </Tile>
      <Tile label={tiles.liveCalls} value={texts.common.number(liveCalls.total)}>
        {LIVE_STATUSES.filter((status) => liveCalls[status] > 0)
          .map(
            (status) =>
              `${texts.common.number(liveCalls[status])} ${texts.calls.statuses[status].toLowerCase()}`,
          )
          .join(' · ')}
      </Tile>
      <Tile label={tiles.rooms} value={texts.common.number(left)} isAlarming={roomDeletions.discarded > 0}>
        {left === 0 ? tiles.noRooms : tiles.roomStates(roomDeletions.open, roomDeletions.discarded)}
        {roomDeletions.oldestOpenAt !== null && (
          <p>
            {tiles.oldest} <Age iso={roomDeletions.oldestOpenAt} now={now} />
          </p>
        )}
      </Tile>
      <Tile
        label={tiles.stops}
        value={
          <Link href="/stop" className="text-accent underline-offset-2 hover:underline">
            {tiles.running(cancellations.running)}
          </Link>
        }
      >
        {cancellations.activeHolds > 0 ? (
          <Badge tone="warning">{tiles.holds(cancellations.activeHolds)}</Badge>
        ) : (
          tiles.noHold
        )}
      </Tile>
      <Tile label={tiles.server} value={tiles.version(version)}>
        {tiles.stores[store]} · {tiles.runningSince} <Time iso={startedAt} />
      </Tile>
    </dl>
  );
}

function Tile({
  label,
  value,
  isAlarming = false,
  children,
}: {
  label: string;
  value: ReactNode;
  isAlarming?: boolean;
  children?: ReactNode;
}) {
  return (
    <div className="rounded-lg border border-line bg-surface p-4">
      <dt className="text-sm text-muted">{label}</dt>
      <dd>
        <div className={`my-1 text-xl font-semibold ${isAlarming ? 'text-danger-ink' : ''}`}>{value}</div>
        <div className="text-sm text-muted">{children}</div>
      </dd>
    </div>
  );
}
