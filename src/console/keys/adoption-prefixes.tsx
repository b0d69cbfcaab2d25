import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useRef, useState } from 'react';
import { messageOf } from '../api/errors.ts';
import { reloadQueries } from '../api/reload.ts';
import { inTime, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { TextField } from '../ui/field.tsx';
import { EmptyState, ErrorMessage, Loading } from '../ui/messages.tsx';
import { Card } from '../ui/page.tsx';
import { Time } from '../ui/time.tsx';
import { ConfirmDialog } from './confirm-dialog.tsx';
import { ADOPTION_PREFIXES } from './queries.ts';

/** The prefixes by which rooms of LiveKit become calls. */
export function AdoptionPrefixes() {
  const { data, error, refetch } = useQuery({
    queryKey: ADOPTION_PREFIXES,
    queryFn: ({ signal }) => trpc.adoption.list.query(undefined, inTime(signal)),
  });
  const [removed, setRemoved] = useState<string | null>(null);
  return (
    <Card title={texts.prefixes.title}>
      <p className="mb-3 max-w-prose text-sm text-muted">{texts.prefixes.explanation}</p>
      <PrefixForm />
      {error !== null && <ErrorMessage error={error} onRetry={() => void refetch()} />}
      {data === undefined && error === null && <Loading />}
      {data?.adoptionPrefixes.length === 0 && (
        <EmptyState title={texts.prefixes.none}>{texts.prefixes.noneHint}</EmptyState>
      )}
      {data !== undefined && data.adoptionPrefixes.length > 0 && (
        <ul className="-mx-4 mt-4 -mb-4 divide-y divide-line border-t border-line">
          {data.adoptionPrefixes.map(({ prefix, createdAt }) => (
            <li key={prefix} className="flex flex-wrap items-center gap-x-6 gap-y-1 px-4 py-2.5">
              <h3 className="min-w-0 flex-1 font-mono text-sm break-all">{prefix}</h3>
              <span className="text-sm text-muted">
                {texts.prefixes.since} <Time iso={createdAt} />
              </span>
              <Button onClick={() => setRemoved(prefix)} aria-label={texts.prefixes.removeName(prefix)}>
                {texts.prefixes.remove}
              </Button>
            </li>
          ))}
        </ul>
      )}
      {removed !== null && <RemoveDialog prefix={removed} onClose={() => setRemoved(null)} />}
    </Card>
  );
}

function PrefixForm() {
  const queryClient = useQueryClient();
  const field = useRef<HTMLInputElement>(null);
  const [prefix, setPrefix] = useState('');
  const [isMissing, setMissing] = useState(false);
  const { mutate, error, isPending } = useMutation({
    mutationFn: () => trpc.adoption.add.mutate({ prefix }, inTime()),
    onSuccess: async () => {
      setPrefix('');
      field.current?.focus();
      await reloadQueries(queryClient, ADOPTION_PREFIXES);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMissing(prefix === '');
    if (prefix !== '' && !isPending) mutate();
  };
  const problem = isMissing ? texts.prefixes.missing : error !== null && messageOf(error);
  return (
    <form onSubmit={submit} noValidate className="flex max-w-md items-start gap-2">
      <div className="flex-1">
        <TextField
          ref={field}
          label={texts.prefixes.prefix}
          isLabelHidden
          placeholder={texts.prefixes.placeholder}
          error={problem}
          maxLength={128}
          autoComplete="off"
          spellCheck={false}
          value={prefix}
          onChange={(event) => setPrefix(event.target.value)}
        />
      </div>
      <Button type="submit" isBusy={isPending}>
        {texts.prefixes.add}
      </Button>
    </form>
  );
}

function RemoveDialog({ prefix, onClose }: { prefix: string; onClose: () => void }) {
  const queryClient = useQueryClient();
  const { mutate, error, isPending } = useMutation({
    mutationFn: () => trpc.adoption.remove.mutate({ prefix }, inTime()),
    onSuccess: () => reloadQueries(queryClient, ADOPTION_PREFIXES),
  });
  return (
    <ConfirmDialog
      title={texts.prefixes.removeTitle(prefix)}
      text={texts.prefixes.removeText}
      confirm={texts.prefixes.removePrefix}
      error={error}
      isBusy={isPending}
      // Not for a closed dialog: a late response would close the dialog of another prefix.
      onConfirm={() => mutate(undefined, { onSuccess: onClose })}
      onClose={onClose}
    />
  );
}
