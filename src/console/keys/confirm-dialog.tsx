import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { ErrorMessage } from '../ui/messages.tsx';

/** Requires a confirmation of an action that cannot be undone. */
export function ConfirmDialog({
  title,
  text,
  confirm,
  error,
  isBusy,
  onConfirm,
  onClose,
}: {
  title: string;
  text: string;
  /** The label of the button. */
  confirm: string;
  error: unknown;
  isBusy: boolean;
  onConfirm: () => void;
  onClose: () => void;
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="flex flex-col gap-4">
        <p>{text}</p>
        {error !== null && <ErrorMessage error={error} />}
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={onClose}>{texts.common.cancel}</Button>
          <Button kind="danger" isBusy={isBusy} onClick={onConfirm}>
            {confirm}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
