import type { ComponentProps } from 'react';
import { classNames } from './class-names.ts';

const KINDS = {
  primary: 'border-transparent bg-accent text-accent-text hover:opacity-90',
  danger: 'border-transparent bg-danger text-danger-text hover:opacity-90',
  plain: 'border-line-strong bg-surface text-text hover:bg-hover',
  quiet: 'border-transparent text-text hover:bg-hover',
} as const;

export type ButtonKind = keyof typeof KINDS;

/** Returns the classes of a button, for links that look like one. */
export function buttonClass(kind: ButtonKind = 'plain', className?: string): string {
  return classNames(
    'inline-flex min-h-9 items-center justify-center gap-2 rounded-md border px-3 py-1.5 text-sm font-medium',
    'whitespace-nowrap transition-colors disabled:opacity-50',
    KINDS[kind],
    className,
  );
}

/**
 * A button. `isBusy` keeps its name and its focus, and ignores clicks; a disabled button would lose the focus.
 */
export function Button({
  kind = 'plain',
  isBusy = false,
  className,
  onClick,
  type = 'button',
  ...props
}: ComponentProps<'button'> & { kind?: ButtonKind; isBusy?: boolean }) {
  return (
    <button
      {...props}
      type={type}
      className={buttonClass(kind, classNames(isBusy && 'opacity-60', className))}
      aria-busy={isBusy || undefined}
      aria-disabled={isBusy || undefined}
      onClick={(event) => {
        if (isBusy) event.preventDefault();
        else onClick?.(event);
      }}
    />
  );
}
