import { useQuery } from '@tanstack/react-query';
import { useScope } from '../api/session.tsx';
import { inTime, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Badge, type Tone } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { ErrorMessage, MissingScope } from '../ui/messages.tsx';
import { Card } from '../ui/page.tsx';
import { Time } from '../ui/time.tsx';
import { byLevel, countLevels, type Finding, LEVELS, type Level } from './findings.ts';

/** The checks can read the complete database. */
const CHECKS_TIMEOUT_MS = 300_000;

const TONES: Record<Level, Tone> = {
  ok: 'success',
  warning: 'warning',
  failure: 'danger',
  unknown: 'neutral',
};

/** The doctor's findings. The checks can read the complete database, so they run on request only. */
export function Checks() {
  const isPermitted = useScope('admin');
  const { checks } = texts.health;
  if (!isPermitted) {
    return (
      <Card title={checks.title}>
        <MissingScope scope="admin" />
        <p className="mt-1 text-sm text-muted">{checks.inTerminal}</p>
      </Card>
    );
  }
  return <PermittedChecks />;
}

function PermittedChecks() {
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ['health', 'findings'],
    queryFn: ({ signal }) => trpc.health.findings.query(undefined, inTime(signal, CHECKS_TIMEOUT_MS)),
    enabled: false,
    retry: false,
    gcTime: Number.POSITIVE_INFINITY,
  });
  const { checks } = texts.health;
  return (
    <Card
      title={checks.title}
      actions={
        <Button isBusy={isFetching} onClick={() => void refetch()}>
          {checks.run}
        </Button>
      }
    >
      <div className="flex flex-col gap-3">
        {error !== null && !isFetching && <ErrorMessage error={error} />}
        <p role="status" className="text-sm text-muted">
          {isFetching ? (
            checks.running
          ) : data === undefined ? (
            checks.before
          ) : (
            <>
              {summaryOf(data.findings)} <Time iso={data.checkedAt} />
            </>
          )}
        </p>
        {data !== undefined && (
          <ul className="divide-y divide-line">
            {byLevel(data.findings).map((finding) => (
              <FindingItem key={`${finding.check} ${finding.message}`} finding={finding} />
            ))}
          </ul>
        )}
      </div>
    </Card>
  );
}

function summaryOf(findings: readonly Finding[]): string {
  const { checks } = texts.health;
  const counts = countLevels(findings);
  return `${LEVELS.map((level) => [level, counts.get(level) ?? 0] as const)
    .filter(([, findings]) => findings > 0)
    .map(([level, findings]) => checks.counts[level](findings))
    .join(', ')}. ${checks.checkedAt}`;
}

function FindingItem({ finding: { check, level, message, advice } }: { finding: Finding }) {
  const { levels } = texts.health.checks;
  return (
    <li className="grid gap-x-3 gap-y-1 py-2.5 text-sm sm:grid-cols-[6rem_minmax(0,1fr)]">
      <div>
        <Badge tone={TONES[level]}>{levels[level]}</Badge>
      </div>
      <div className="min-w-0">
        <p className="break-words">
          <span className="font-medium">{check}</span> · {message}
        </p>
        {advice !== null && <p className="mt-1 break-words whitespace-pre-line text-muted">{advice}</p>}
      </div>
    </li>
  );
}
