import type { Ref } from 'react';
import { Link } from 'wouter';
import { LIVE_STATUSES } from '../api/call.ts';
import { texts } from '../texts.ts';
import { StatusBadge } from '../ui/status-badge.tsx';
import { Age, useNow } from '../ui/time.tsx';
import type { Preview } from './stop-requests.ts';

const MAX_SHOWN = 5;
const TIME = new Intl.DateTimeFormat('en', { timeStyle: 'medium' });

/** The number of the calls by status, and some of the calls. */
export function PreviewResult({
  preview,
  isPending,
  ref,
}: {
  preview: Preview | null;
  isPending: boolean;
  ref: Ref<HTMLElement>;
}) {
  const { preview: words } = texts.stop;
  return (
    <section ref={ref} aria-label={words.title} aria-busy={isPending} className="rounded-md bg-page p-3">
      <div role="status">
        {preview === null ? (
          <p className="text-sm text-muted">{isPending ? texts.common.loading : words.before}</p>
        ) : (
          <Summary preview={preview} />
        )}
      </div>
      {preview !== null && preview.sample.length > 0 && <Sample preview={preview} />}
    </section>
  );
}

function Summary({ preview: { matched, countedAt } }: { preview: Preview }) {
  const { preview: words } = texts.stop;
  return (
    <>
      <div className="flex flex-wrap items-baseline justify-between gap-x-4">
        <p className="text-lg font-semibold">
          {matched.total === 0 ? words.none : words.matches(matched.total)}
        </p>
        <p className="text-xs text-muted">{words.counted(TIME.format(countedAt))}</p>
      </div>
      {matched.total === 0 ? (
        <p className="text-sm">{words.noneHint}</p>
      ) : (
        <ul className="mt-1 flex flex-wrap gap-2">
          {LIVE_STATUSES.filter((status) => matched[status] > 0).map((status) => (
            <li key={status} className="flex items-center gap-1 text-sm">
              <span className="font-semibold">{texts.common.number(matched[status])}</span>
              <StatusBadge status={status} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Sample({ preview: { sample, matched } }: { preview: Preview }) {
  const { preview: words } = texts.stop;
  const now = useNow();
  const shown = sample.slice(0, MAX_SHOWN);
  const others = matched.total - shown.length;
  return (
    <>
      <ul aria-label={words.caption} className="mt-3 divide-y divide-line border-t border-line">
        {shown.map(({ id, status, agent, phoneNumber, createdAt }) => (
          <li key={id} className="flex flex-wrap items-center gap-x-3 gap-y-0.5 py-1.5 text-sm">
            <Link
              href={`/calls/${encodeURIComponent(id)}`}
              className="min-w-0 flex-1 basis-56 font-mono text-xs break-all text-accent underline-offset-2 hover:underline"
            >
              {id}
            </Link>
            <StatusBadge status={status} />
            <span className="min-w-0 break-all text-muted">{agent.id ?? texts.stop.preview.noAgent}</span>
            {phoneNumber !== null && <span className="min-w-0 break-all">{phoneNumber}</span>}
            <span className="ml-auto text-muted">
              <Age iso={createdAt} now={now} />
            </span>
          </li>
        ))}
      </ul>
      {others > 0 && <p className="pt-1.5 text-sm text-muted">{words.more(others)}</p>}
    </>
  );
}
