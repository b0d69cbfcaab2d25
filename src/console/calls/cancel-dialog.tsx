import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useState } from 'react';
import { createKeyring } from '../api/idempotency.ts';
import { type LateError, useReportLateError } from '../api/late-errors.tsx';
import { inTime, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { ErrorMessage } from '../ui/messages.tsx';

const MAX_REASON_LENGTH = 500;

/** Cancels one call. The reason is optional. */
export function CancelCallDialog({
  callId,
  children,
  onCancelled,
  onClose,
}: {
  callId: string;
  /** The call, for the reader to check. */
  children: ReactNode;
  onCancelled: () => void;
  onClose: () => void;
}) {
  return (
    <ReasonDialog
      title={texts.calls.cancelTitle}
      effect={texts.calls.cancelEffect}
      hint={texts.calls.reasonOptional}
      late={{ title: texts.lateErrors.cancel(callId), href: `/calls/${encodeURIComponent(callId)}` }}
      cancel={(reason, idempotencyKey) =>
        trpc.calls.cancel.mutate({ callId, idempotencyKey, ...(reason !== '' && { reason }) }, inTime())
      }
      onCancelled={onCancelled}
      onClose={onClose}
    >
      {children}
    </ReasonDialog>
  );
}

/** Cancels several calls by one cancellation, which requires a reason. */
export function CancelCallsDialog({
  callIds,
  onStarted,
  onClose,
}: {
  callIds: readonly string[];
  /** @param id of the cancellation */
  onStarted: (id: string) => void;
  onClose: () => void;
}) {
  return (
    <ReasonDialog
      title={texts.calls.cancelManyTitle(callIds.length)}
      effect={texts.calls.cancelManyEffect}
      hint={texts.calls.reasonRequired}
      late={{ title: texts.lateErrors.cancelMany(callIds.length), href: '/calls' }}
      isRequired
      cancel={async (reason, idempotencyKey) => {
        const created = await trpc.cancellations.create.mutate(
          { callIds: [...callIds], reason, idempotencyKey },
          inTime(),
        );
        if (!('id' in created)) throw new Error('hangup returned a preview');
        return created.id;
      }}
      onCancelled={onStarted}
      onClose={onClose}
    />
  );
}

function ReasonDialog<Result>({
  title,
  effect,
  hint,
  isRequired = false,
  late,
  cancel,
  children,
  onCancelled,
  onClose,
}: {
  title: string;
  effect: string;
  hint: string;
  isRequired?: boolean;
  /** The message about an error after the dialog has closed. */
  late: Omit<LateError, 'error'>;
  cancel: (reason: string, idempotencyKey: string) => Promise<Result>;
  children?: ReactNode;
  onCancelled: (result: Result) => void;
  onClose: () => void;
}) {
  const [reason, setReason] = useState('');
  const [isMissing, setIsMissing] = useState(false);
  const [keyring] = useState(() => createKeyring());
  const report = useReportLateError();
  const { mutate, error, isPending } = useMutation({
    mutationFn: (text: string) => cancel(text, keyring.keyFor({ reason: text })),
    onError: (failure) => report({ ...late, error: failure }),
  });
  // Not for a closed dialog: a late response would close the dialog of another call.
  const onSuccess = (result: Result) => {
    onCancelled(result);
    onClose();
  };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const text = reason.trim();
    const hasNone = isRequired && text === '';
    setIsMissing(hasNone);
    if (!isPending && !hasNone) mutate(text, { onSuccess });
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} className="flex flex-col gap-4" noValidate>
        {children}
        <p className="text-sm text-muted">{effect}</p>
        <TextField
          label={texts.calls.reason}
          hint={hint}
          error={isMissing ? texts.calls.reasonMissing : undefined}
          autoFocus
          autoComplete="off"
          maxLength={MAX_REASON_LENGTH}
          required={isRequired}
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
        {error !== null && <ErrorMessage error={error} />}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={onClose}>{texts.calls.back}</Button>
          <Button type="submit" kind="danger" isBusy={isPending}>
            {texts.common.confirm}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
