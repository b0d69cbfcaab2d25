import { texts } from '../texts.ts';
import { TextField } from './field.tsx';
import { type Bound, fromLocalField, toLocalField } from './filter-time.ts';

/** A labelled time of a filter, in the reader's zone. The value is ISO 8601, as the API reads it; empty: no time. */
export function DateTimeField({
  label,
  name,
  value,
  bound,
  onChange,
}: {
  label: string;
  name?: string;
  value: string;
  bound: Bound;
  onChange: (value: string) => void;
}) {
  return (
    <TextField
      type="datetime-local"
      label={label}
      hint={texts.common.yourTime}
      name={name}
      value={toLocalField(value, bound)}
      onChange={({ target }) => onChange(fromLocalField(target.value, bound))}
    />
  );
}
