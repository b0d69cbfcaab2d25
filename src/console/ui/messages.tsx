import type { ReactNode } from 'react';
import { messageOf } from '../api/errors.ts';
import { texts } from '../texts.ts';
import { Button } from './button.tsx';

/** The place of a list without entries: the reason, and the next step. */
export function EmptyState({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-12 text-center">
      <p className="font-medium">{title}</p>
      {children !== undefined && <div className="max-w-prose text-sm text-muted">{children}</div>}
    </div>
  );
}

export function Loading() {
  return (
    <p role="status" className="px-4 py-12 text-center text-muted">
      {texts.common.loading}
    </p>
  );
}

/** An error with its cause, and a button that repeats the request. */
export function ErrorMessage({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  return (
    <div
      role="alert"
      className="flex flex-wrap items-center gap-3 rounded-lg bg-danger-soft p-3 text-sm text-danger-ink"
    >
      <p>
        <strong className="font-semibold">{texts.errors.title}.</strong> {messageOf(error)}
      </p>
      {onRetry !== undefined && <Button onClick={onRetry}>{texts.errors.retry}</Button>}
    </div>
  );
}

/** The place of an action that the key does not permit. */
export function MissingScope({ scope }: { scope: string }) {
  return <p className="text-sm text-muted">{texts.errors.missingScope(scope)}</p>;
}
