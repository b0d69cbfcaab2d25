import { Link } from 'wouter';
import { isRetryable, messageOf } from '../api/errors.ts';
import { useLateErrors } from '../api/late-errors.tsx';
import { texts } from '../texts.ts';
import { Button, buttonClass } from '../ui/button.tsx';

/** The errors of actions whose forms have left the page: the reader must learn that a stop or a cancel failed. */
export function LateErrorList() {
  const { errors, dismiss } = useLateErrors();
  return errors.map(({ id, title, error, href }) => (
    <div
      key={id}
      role="alert"
      className="flex flex-wrap items-center gap-3 border-b border-danger bg-danger-soft px-4 py-2 text-sm text-danger-ink"
    >
      <p className="min-w-0 flex-1 basis-80 [overflow-wrap:anywhere]">
        <strong className="font-semibold">{title}</strong> {messageOf(error)}{' '}
        {isRetryable(error) && texts.lateErrors.uncertain}
      </p>
      <div className="flex flex-wrap gap-2">
        <Link href={href} className={buttonClass()} onClick={() => dismiss(id)}>
          {texts.lateErrors.open}
        </Link>
        <Button onClick={() => dismiss(id)}>{texts.common.dismiss}</Button>
      </div>
    </div>
  ));
}
