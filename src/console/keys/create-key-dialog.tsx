import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { currentTime } from '../api/clock.ts';
import { messageOf } from '../api/errors.ts';
import { reloadQueries } from '../api/reload.ts';
import type { Scope } from '../api/session.tsx';
import { inTime, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import { copyFrom } from './copy-text.ts';
import { EXPIRY_DAYS, expiryOf } from './key-state.ts';
import { API_KEYS } from './queries.ts';

const SCOPES = Object.keys(texts.keys.scopeMeanings) as readonly Scope[];
const DEFAULT_SCOPES: readonly Scope[] = ['calls:read', 'calls:write', 'calls:cancel'];

/** Creates an API key, and shows it this one time. */
export function CreateKeyDialog({ onClose }: { onClose: () => void }) {
  const queryClient = useQueryClient();
  // A second click can arrive before the page shows the first.
  const isSent = useRef(false);
  const { mutate, data, error, isPending } = useMutation({
    mutationFn: (input: NewKey) => trpc.apiKeys.create.mutate(input, inTime()),
    onSettled: () => {
      isSent.current = false;
      // Not awaited: the key is shown before the list. After a lost response, the list has the new key, which can be revoked.
      void reloadQueries(queryClient, API_KEYS.queryKey);
    },
  });
  const create = (input: NewKey) => {
    if (isSent.current) return;
    isSent.current = true;
    mutate(input);
  };
  if (data !== undefined) {
    return (
      // Escape must not lose the key.
      <Dialog title={texts.keys.createdTitle(data.name)} onClose={onClose} isPersistent>
        <CreatedKey value={data.key} onClose={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog title={texts.keys.create} onClose={onClose}>
      <KeyForm error={error} isPending={isPending} onSubmit={create} onClose={onClose} />
    </Dialog>
  );
}

interface NewKey {
  name: string;
  scopes: Scope[];
  expiresAt?: string;
}

type Problem = 'name' | 'scopes' | 'date';
const FIELDS: Readonly<Record<Problem, string>> = {
  name: 'input[name=name]',
  scopes: 'fieldset input',
  date: 'input[name=date]',
};

function KeyForm({
  error,
  isPending,
  onSubmit,
  onClose,
}: {
  error: unknown;
  isPending: boolean;
  onSubmit: (input: NewKey) => void;
  onClose: () => void;
}) {
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<ReadonlySet<Scope>>(new Set(DEFAULT_SCOPES));
  const [expiry, setExpiry] = useState('never');
  const [date, setDate] = useState('');
  const [problem, setProblem] = useState<Problem | null>(null);
  const form = useRef<HTMLFormElement>(null);

  // The first wrong field gets the focus.
  useEffect(() => {
    if (problem !== null) form.current?.querySelector<HTMLElement>(FIELDS[problem])?.focus();
  }, [problem]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isPending) return;
    const expiresAt = expiryOf(expiry, date, currentTime());
    const found = name.trim() === '' ? 'name' : scopes.size === 0 ? 'scopes' : null;
    const next = found ?? (expiresAt === undefined ? 'date' : null);
    setProblem(next);
    if (next !== null || expiresAt === undefined) return;
    onSubmit({
      name: name.trim(),
      scopes: SCOPES.filter((scope) => scopes.has(scope)),
      ...(expiresAt !== null && { expiresAt }),
    });
  };
  return (
    <form ref={form} onSubmit={submit} noValidate className="flex flex-col gap-4">
      <TextField
        label={texts.keys.name}
        hint={texts.keys.nameHint}
        error={problem === 'name' && texts.keys.nameMissing}
        name="name"
        maxLength={128}
        autoFocus
        autoComplete="off"
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <ScopeBoxes scopes={scopes} onChange={setScopes} error={problem === 'scopes'} />
      <SelectField
        label={texts.keys.expires}
        value={expiry}
        onChange={(event) => setExpiry(event.target.value)}
      >
        <option value="never">{texts.keys.never}</option>
        {EXPIRY_DAYS.map((days) => (
          <option key={days} value={String(days)}>
            {texts.keys.afterDays(days)}
          </option>
        ))}
        <option value="date">{texts.keys.onDate}</option>
      </SelectField>
      {expiry === 'date' && (
        <TextField
          label={texts.keys.expiryDate}
          error={problem === 'date' && texts.keys.dateWrong}
          name="date"
          type="datetime-local"
          value={date}
          onChange={(event) => setDate(event.target.value)}
        />
      )}
      {error !== null && (
        <p role="alert" className="text-sm text-danger-ink">
          {messageOf(error)}
        </p>
      )}
      <div className="flex flex-wrap justify-end gap-2">
        <Button onClick={onClose}>{texts.common.cancel}</Button>
        <Button type="submit" kind="primary" isBusy={isPending}>
          {texts.keys.create}
        </Button>
      </div>
    </form>
  );
}

function ScopeBoxes({
  scopes,
  error,
  onChange,
}: {
  scopes: ReadonlySet<Scope>;
  error: boolean;
  onChange: (scopes: ReadonlySet<Scope>) => void;
}) {
  const id = useId();
  return (
    <fieldset aria-describedby={error ? `${id}-error` : undefined}>
      <legend className="mb-1 text-sm font-medium">{texts.keys.scopes}</legend>
      <div className="flex flex-col gap-2">
        {SCOPES.map((scope) => (
          <div key={scope} className="flex items-start gap-2 text-sm">
            <input
              id={`${id}-${scope}`}
              type="checkbox"
              className="mt-1"
              aria-describedby={`${id}-${scope}-hint`}
              checked={scopes.has(scope)}
              onChange={() => onChange(scopes.symmetricDifference(new Set([scope])))}
            />
            <div>
              <label htmlFor={`${id}-${scope}`} className="font-mono text-xs font-medium">
                {scope}
              </label>
              <p id={`${id}-${scope}-hint`} className="text-xs text-muted">
                {texts.keys.scopeMeanings[scope]}
              </p>
            </div>
          </div>
        ))}
      </div>
      {error && (
        <p id={`${id}-error`} role="alert" className="mt-1 text-sm text-danger-ink">
          {texts.keys.scopesMissing}
        </p>
      )}
    </fieldset>
  );
}

function CreatedKey({ value, onClose }: { value: string; onClose: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [result, setResult] = useState<string | null>(null);
  const copy = async () => {
    if (field.current === null) return;
    const isCopied = await copyFrom(field.current);
    setResult(isCopied ? texts.keys.copied : texts.keys.copyByHand);
  };
  return (
    <div className="flex flex-col gap-4">
      <p className="rounded-md bg-warning-soft p-3 text-sm text-warning-ink">{texts.keys.shownOnce}</p>
      <TextField
        ref={field}
        label={texts.keys.newKey}
        value={value}
        readOnly
        autoFocus
        autoComplete="off"
        spellCheck={false}
        className="font-mono text-xs"
        onFocus={(event) => event.target.select()}
      />
      <div className="flex flex-wrap items-center justify-end gap-2">
        <p role="status" className="mr-auto text-sm text-muted">
          {result}
        </p>
        <Button kind="primary" onClick={() => void copy()}>
          {texts.keys.copy}
        </Button>
        <Button onClick={onClose}>{texts.keys.done}</Button>
      </div>
    </div>
  );
}
