import type { ReactNode } from 'react';
import { classNames } from './class-names.ts';

const TONES = {
  neutral: 'bg-hover text-text',
  accent: 'bg-accent-soft text-accent',
  success: 'bg-success-soft text-success-ink',
  warning: 'bg-warning-soft text-warning-ink',
  danger: 'bg-danger-soft text-danger-ink',
} as const;

export type Tone = keyof typeof TONES;

/** A short status. The text has the meaning, and the color repeats it. */
export function Badge({ tone = 'neutral', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span
      className={classNames(
        'inline-flex items-center rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap ring-1 ring-current/20 ring-inset',
        TONES[tone],
      )}
    >
      {children}
    </span>
  );
}
