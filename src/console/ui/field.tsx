import { type ComponentProps, type ReactNode, useId } from 'react';
import { classNames } from './class-names.ts';

const CONTROL =
  'min-h-9 w-full rounded-md border border-line-strong bg-surface px-2.5 py-1.5 text-sm text-text placeholder:text-muted aria-invalid:border-danger';

interface Labelled {
  readonly label: string;
  readonly hint?: ReactNode;
  readonly error?: ReactNode;
  /** The label is read by screen readers only. */
  readonly isLabelHidden?: boolean;
}

/** Returns the ids that connect a control with its label, hint and error. */
function useField({ hint, error }: Labelled, givenId?: string) {
  const ownId = useId();
  const id = givenId ?? ownId;
  const hintId = `${id}-hint`;
  const errorId = `${id}-error`;
  const describedBy = classNames(hint !== undefined && hintId, hasError(error) && errorId);
  return {
    hintId,
    errorId,
    control: {
      id,
      'aria-describedby': describedBy === '' ? undefined : describedBy,
      'aria-invalid': hasError(error) || undefined,
    },
  };
}

const hasError = (error: ReactNode) =>
  error !== undefined && error !== null && error !== false && error !== '';

function Frame({
  labelled: { label, hint, error, isLabelHidden = false },
  field: { control, hintId, errorId },
  children,
}: {
  labelled: Labelled;
  field: ReturnType<typeof useField>;
  children: ReactNode;
}) {
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={control.id} className={isLabelHidden ? 'sr-only' : 'text-sm font-medium'}>
        {label}
      </label>
      {children}
      {hint !== undefined && (
        <p id={hintId} className="text-xs text-muted">
          {hint}
        </p>
      )}
      {hasError(error) && (
        <p id={errorId} role="alert" className="text-sm text-danger-ink">
          {error}
        </p>
      )}
    </div>
  );
}

/** A labelled text field. */
export function TextField({
  label,
  hint,
  error,
  isLabelHidden,
  className,
  ...props
}: Labelled & ComponentProps<'input'>) {
  const labelled = optional({ label, hint, error, isLabelHidden });
  const field = useField(labelled, props.id);
  return (
    <Frame labelled={labelled} field={field}>
      <input type="text" {...props} {...field.control} className={classNames(CONTROL, className)} />
    </Frame>
  );
}

/** A labelled list of options. Its role is combobox. */
export function SelectField({
  label,
  hint,
  error,
  isLabelHidden,
  className,
  children,
  ...props
}: Labelled & ComponentProps<'select'>) {
  const labelled = optional({ label, hint, error, isLabelHidden });
  const field = useField(labelled);
  return (
    <Frame labelled={labelled} field={field}>
      <select {...props} {...field.control} className={classNames(CONTROL, 'items-center', className)}>
        {children}
      </select>
    </Frame>
  );
}

/** Drops absent properties, which `exactOptionalPropertyTypes` does not accept as undefined. */
function optional(labelled: {
  label: string;
  hint: ReactNode;
  error: ReactNode;
  isLabelHidden: boolean | undefined;
}): Labelled {
  const { label, hint, error, isLabelHidden } = labelled;
  return {
    label,
    ...(hint !== undefined && { hint }),
    ...(error !== undefined && { error }),
    ...(isLabelHidden !== undefined && { isLabelHidden }),
  };
}
