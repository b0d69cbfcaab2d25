import { type FormEvent, useEffect, useEffectEvent, useRef, useState } from 'react';
import { useLocation } from 'wouter';
import type { Agent } from '../api/agents.ts';
import { isRetryable, statusOf } from '../api/errors.ts';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { CheckField } from '../ui/check-field.tsx';
import { TextField } from '../ui/field.tsx';
import { ErrorMessage } from '../ui/messages.tsx';
import { Card } from '../ui/page.tsx';
import { FilterFields, WhatToStop } from './choose-fields.tsx';
import { allowanceOf, isTypedNumber } from './confirmation.ts';
import { PreviewResult } from './preview-result.tsx';
import {
  fromOptionValue,
  NO_FILTER,
  OPTION_VALUES,
  type StopLink,
  toOptionValue,
  toSelector,
} from './selection.ts';
import { usePreviewRequest, useStopRequest } from './stop-requests.ts';

const PRECONDITION_FAILED = 412;

interface Problems {
  readonly what?: string;
  readonly reason?: string;
  readonly number?: string;
}

/** Chooses calls, counts them, and stops them after a person has typed their number. */
export function StopForm({
  link,
  agents,
  note,
}: {
  link: StopLink;
  agents: readonly Agent[];
  /** Why the list has no agents. */
  note: string | null;
}) {
  const [, navigate] = useLocation();
  const linked = link.kind === 'selection' ? link.selection : null;
  const [choice, setChoice] = useState(() => (linked === null ? OPTION_VALUES.none : toOptionValue(linked)));
  const [fields, setFields] = useState(() => (linked?.kind === 'filter' ? linked.fields : NO_FILTER));
  const [isFilterOpen, setIsFilterOpen] = useState(false);
  const [reason, setReason] = useState('');
  const [hasHold, setHasHold] = useState(false);
  const [typed, setTyped] = useState('');
  const [problems, setProblems] = useState<Problems>(
    link.kind === 'invalid' ? { what: texts.stop.choose.invalidLink(link.field) } : {},
  );
  const previewRequest = usePreviewRequest();
  const stopRequest = useStopRequest();
  const what = useRef<HTMLSelectElement>(null);
  const firstField = useRef<HTMLInputElement>(null);
  const previewPlace = useRef<HTMLElement>(null);
  const confirmForm = useRef<HTMLFormElement>(null);
  const reasonField = useRef<HTMLInputElement>(null);
  const holdField = useRef<HTMLInputElement>(null);
  const numberField = useRef<HTMLInputElement>(null);

  const selection = fromOptionValue(choice, fields);
  const selector = toSelector(selection);
  // A filter of a link is complete, and its fields would hide the preview of a phone.
  const isFiltering = selection.kind === 'filter' && (isFilterOpen || selector === null);
  const preview =
    previewRequest.data !== undefined && isSame(previewRequest.data.selector, selector)
      ? previewRequest.data
      : null;

  const focusNextField = useEffectEvent(() => {
    if (matchMedia('(pointer: coarse)').matches) {
      // The keyboard of a phone would hide the preview.
      previewPlace.current?.scrollIntoView({ block: 'start' });
      return;
    }
    (reason.trim() === '' ? reasonField : numberField).current?.focus();
  });
  useEffect(() => {
    if (preview !== null) focusNextField();
  }, [preview]);

  // The focus alone would leave an explanation below the edge of the window.
  useEffect(() => {
    if (problems.number !== undefined) confirmForm.current?.scrollIntoView({ block: 'nearest' });
  }, [problems]);

  const change = (apply: () => void) => {
    apply();
    setTyped('');
    setProblems({});
  };
  const openFilter = () => {
    change(() => {
      setIsFilterOpen(true);
      if (selection.kind === 'agent') setFields({ ...NO_FILTER, agentId: selection.agentId });
      setChoice(OPTION_VALUES.filter);
    });
    requestAnimationFrame(() => firstField.current?.focus());
  };

  const requestPreview = (after: Problems = {}) => {
    if (previewRequest.isPending) return;
    if (selector === null) {
      setProblems({ what: isFiltering ? texts.stop.choose.emptyFilter : texts.stop.choose.nothing });
      (isFiltering ? firstField : what).current?.focus();
      return;
    }
    setTyped('');
    setProblems(after);
    previewRequest.mutate(selector);
  };
  const requestStop = () => {
    const { confirm } = texts.stop;
    if (stopRequest.isPending) return;
    if (selector === null || preview === null) {
      requestPreview({ number: confirm.previewFirst });
      return;
    }
    const { total } = preview.matched;
    if (total === 0 && !hasHold) {
      setProblems({ number: confirm.nothingToStop });
      holdField.current?.focus();
      return;
    }
    const isReasonMissing = reason.trim() === '';
    const isNumberWrong = !isTypedNumber(typed, total);
    if (isReasonMissing || isNumberWrong) {
      setProblems({
        ...(isReasonMissing && { reason: confirm.reasonMissing }),
        ...(isNumberWrong && { number: confirm.wrongNumber(typed.trim(), total) }),
      });
      (isReasonMissing ? reasonField : numberField).current?.select();
      return;
    }
    setProblems({});
    const expectedAtMost = total + allowanceOf(total);
    stopRequest.mutate(
      { ...selector, reason: reason.trim(), hold: hasHold, expectedAtMost },
      {
        onSuccess: (id) => navigate(`/stop/${id}`, { state: { expected: total } }),
        onError: (error) => {
          if (statusOf(error) === PRECONDITION_FAILED) countAgain(total);
        },
      },
    );
  };
  /** After a refusal because more calls match. */
  const countAgain = (previewed: number) => {
    const { confirm } = texts.stop;
    setTyped('');
    setProblems({ number: confirm.tooManyUncounted });
    if (selector === null) return;
    previewRequest.mutate(selector, {
      onSuccess: ({ matched }) => setProblems({ number: confirm.tooMany(matched.total, previewed) }),
    });
  };
  const submit = (action: () => void) => (event: FormEvent) => {
    event.preventDefault();
    action();
  };

  const total = preview?.matched.total ?? null;
  const { choose, confirm } = texts.stop;
  return (
    <Card title={choose.title}>
      <div className="flex flex-col gap-4">
        <form noValidate className="flex flex-col gap-3" onSubmit={submit(() => requestPreview())}>
          <div className="flex flex-wrap items-start gap-3">
            <div className="min-w-0 flex-1 basis-64">
              <WhatToStop
                ref={what}
                selection={selection}
                fields={fields}
                agents={agents}
                error={problems.what ?? null}
                onChange={(value) => change(() => setChoice(value))}
                onEnter={() => requestPreview()}
              />
            </div>
            <Button
              type="submit"
              kind="primary"
              className="max-sm:w-full sm:mt-6"
              isBusy={previewRequest.isPending}
            >
              {texts.stop.preview.button}
            </Button>
          </div>
          {note !== null && <p className="text-xs text-muted">{note}</p>}
          {isFiltering ? (
            <FilterFields
              ref={firstField}
              fields={fields}
              onChange={(changed) => change(() => setFields(changed))}
            />
          ) : (
            <Button
              kind="quiet"
              className="-my-1 -ml-3 self-start underline decoration-line-strong underline-offset-3"
              onClick={openFilter}
            >
              {selection.kind === 'filter' ? choose.changeFilter : choose.moreFilters}
            </Button>
          )}
        </form>
        <PreviewResult ref={previewPlace} preview={preview} isPending={previewRequest.isPending} />
        {previewRequest.error !== null && (
          <ErrorMessage error={previewRequest.error} onRetry={() => requestPreview()} />
        )}
        <form
          ref={confirmForm}
          noValidate
          className="flex flex-col gap-4 border-t border-line pt-4"
          onSubmit={submit(requestStop)}
        >
          <TextField
            ref={reasonField}
            label={confirm.reason}
            hint={confirm.reasonHint}
            error={problems.reason}
            name="reason"
            required
            maxLength={500}
            autoComplete="off"
            value={reason}
            onChange={({ target }) => {
              setReason(target.value);
              setProblems(({ reason: _, ...others }) => others);
            }}
            onKeyDown={(event) => {
              // Enter leads to the next step, which is the preview.
              if (event.key !== 'Enter' || preview !== null) return;
              event.preventDefault();
              requestPreview();
            }}
          />
          <CheckField
            ref={holdField}
            label={confirm.hold}
            hint={confirm.holdHint}
            name="hold"
            checked={hasHold}
            onChange={({ target }) => setHasHold(target.checked)}
          />
          <div className="flex flex-wrap items-start gap-3">
            <div className="min-w-0 flex-1 basis-64">
              <TextField
                ref={numberField}
                label={confirm.number}
                hint={total === null ? confirm.numberHint : numberHint(total)}
                error={problems.number}
                name="number"
                inputMode="numeric"
                autoComplete="off"
                required
                value={typed}
                onChange={({ target }) => {
                  setTyped(target.value);
                  setProblems(({ number: _, ...others }) => others);
                }}
              />
            </div>
            <Button
              type="submit"
              kind="danger"
              className="max-sm:w-full sm:mt-6"
              isBusy={stopRequest.isPending}
            >
              {confirm.submit}
            </Button>
          </div>
          <StopState request={stopRequest} />
        </form>
      </div>
    </Card>
  );
}

function numberHint(total: number): string {
  const { numberToType, allowance } = texts.stop.confirm;
  return `${numberToType(total)} ${allowance(allowanceOf(total))}`;
}

function StopState({ request }: { request: ReturnType<typeof useStopRequest> }) {
  const { isPending, isRepeated, error } = request;
  const { retrying, uncertain } = texts.stop.confirm;
  if (isPending && isRepeated) {
    return (
      <p role="status" className="rounded-lg bg-warning-soft p-3 text-sm text-warning-ink">
        {retrying}
      </p>
    );
  }
  // The form itself explains that more calls match.
  if (isPending || error === null || statusOf(error) === PRECONDITION_FAILED) return null;
  return (
    <div className="flex flex-col gap-2">
      <ErrorMessage error={error} />
      {isRetryable(error) && <p className="text-sm">{uncertain}</p>}
    </div>
  );
}

function isSame(a: object, b: object | null): boolean {
  return b !== null && JSON.stringify(a) === JSON.stringify(b);
}
