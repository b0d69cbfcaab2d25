import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { isLive } from '../api/call.ts';
import { useScope } from '../api/session.tsx';
import { KeyName } from '../keys/key-name.tsx';
import { texts } from '../texts.ts';
import { NameAndId } from '../ui/client-text.tsx';
import { Definition, DefinitionList } from '../ui/definition-list.tsx';
import { Card } from '../ui/page.tsx';
import { Age, formatDuration, Time, useNow } from '../ui/time.tsx';
import type { CallDetails } from './call-page.tsx';
import { explainFailure } from './explain.ts';

const words = texts.call;
/** Characters of metadata that are shown at once. */
const MAX_OPEN_LENGTH = 600;

/** Everything on record about a call. Absent facts are left out. */
export function CallFacts({ call }: { call: CallDetails }) {
  const now = useNow();
  const { agent, metadata } = call;
  const agentName =
    agent.name !== null && agent.id !== null && agent.name !== agent.id ? (
      <NameAndId name={agent.name} id={agent.id} />
    ) : (
      (agent.name ?? agent.id)
    );
  const time = (iso: string | null) => iso !== null && <Time iso={iso} />;
  const facts: readonly (readonly [string, ReactNode])[] = [
    [words.direction, texts.calls.directions[call.direction]],
    [words.phone, call.phoneNumber],
    [words.agent, agentName],
    [words.room, call.roomName],
    [words.age, isLive(call.status) && <Age iso={call.createdAt} now={now} />],
    [words.created, time(call.createdAt)],
    [words.scheduled, time(call.scheduledAt)],
    [words.started, time(call.startedAt)],
    [words.ended, time(call.endedAt)],
    [words.duration, call.duration !== null && formatDuration(call.duration * 1_000)],
    [
      words.failureReason,
      call.failureReason !== null && (
        <Explained text={call.failureReason} explanation={explainFailure(call.failureReason)} />
      ),
    ],
    [words.cancelledBy, call.cancelledBy !== null && <KeyName id={call.cancelledBy} />],
    [words.cancelReason, call.cancelReason],
    [words.cancellation, call.cancellationId !== null && <CancellationLink id={call.cancellationId} />],
    [words.job, call.jobId],
    [words.sipParticipant, call.sipParticipantId],
  ];
  return (
    <Card title={words.facts}>
      <DefinitionList>
        {facts
          .filter(([, value]) => value !== null && value !== false)
          .map(([name, value]) => (
            <Definition key={name} name={name}>
              {value}
            </Definition>
          ))}
        {Object.keys(metadata).length > 0 && (
          <Definition name={words.metadata}>
            <Metadata metadata={metadata} />
          </Definition>
        )}
      </DefinitionList>
    </Card>
  );
}

/** The call's metadata as JSON. A long one is closed at first. */
function Metadata({ metadata }: { metadata: CallDetails['metadata'] }) {
  const json = JSON.stringify(metadata, null, 2);
  const text = <pre className="rounded-md bg-page p-2 font-mono text-xs whitespace-pre-wrap">{json}</pre>;
  if (json.length <= MAX_OPEN_LENGTH) return text;
  return (
    <details>
      <summary className="mb-1">{words.showMetadata}</summary>
      {text}
    </details>
  );
}

/** A term of LiveKit or hangup, and its meaning. */
export function Explained({ text, explanation }: { text: string; explanation: string | null }) {
  return (
    <>
      <span className={explanation === null ? undefined : 'font-mono text-xs'}>{text}</span>
      {explanation !== null && <span className="block text-muted">{explanation}</span>}
    </>
  );
}

/** The progress of a cancellation of many calls, for keys that may read it. */
export function CancellationLink({ id }: { id: string }) {
  const mayStop = useScope('calls:stop');
  const className = 'font-mono text-xs';
  if (!mayStop) return <span className={className}>{id}</span>;
  return (
    <Link
      href={`/stop/${encodeURIComponent(id)}`}
      className={`${className} text-accent underline underline-offset-2`}
    >
      {id}
    </Link>
  );
}
