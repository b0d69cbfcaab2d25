import { type Ref, useId } from 'react';
import type { Agent } from '../api/agents.ts';
import { DIRECTIONS, LIVE_STATUSES } from '../api/call.ts';
import { texts } from '../texts.ts';
import { classNames } from '../ui/class-names.ts';
import { DateTimeField } from '../ui/date-time-field.tsx';
import { SelectField, TextField } from '../ui/field.tsx';
import type { Bound } from '../ui/filter-time.ts';
import { describeFilter } from './describe-selector.ts';
import {
  type FilterFields as Fields,
  OPTION_VALUES,
  type Selection,
  toFilter,
  toOptionValue,
} from './selection.ts';

/** The list of everything that a stop can select: all calls, each agent, and the filter. */
export function WhatToStop({
  selection,
  fields,
  agents,
  error,
  ref,
  onChange,
  onEnter,
}: {
  selection: Selection;
  fields: Fields;
  agents: readonly Agent[];
  error: string | null;
  ref: Ref<HTMLSelectElement>;
  onChange: (value: string) => void;
  /** Enter in the closed list, after a choice. */
  onEnter: () => void;
}) {
  const { choose } = texts.stop;
  const filter = toFilter(fields);
  const isFiltered = Object.keys(filter).length > 0;
  const listed = withChosen(agents, selection);
  return (
    <SelectField
      ref={ref}
      label={choose.label}
      error={error}
      name="what"
      value={toOptionValue(selection)}
      onChange={(event) => onChange(event.target.value)}
      onKeyDown={(event) => {
        // Chromium opens the list by Enter. With the list open, Enter chooses an option.
        if (event.key !== 'Enter' || selection.kind === 'none' || isListOpen(event.currentTarget)) return;
        event.preventDefault();
        onEnter();
      }}
    >
      <option value={OPTION_VALUES.none}>{choose.none}</option>
      <option value={OPTION_VALUES.all}>{choose.everything}</option>
      {(isFiltered || selection.kind === 'filter') && (
        <option value={OPTION_VALUES.filter}>{choose.filter(describeFilter(filter))}</option>
      )}
      {listed.length > 0 && (
        <optgroup label={choose.agents}>
          {listed.map(({ id, name, liveCalls }) => (
            // The id alone is the name of the option. The style adds the details.
            <option key={id} value={id} data-details={choose.agentDetails(id, name, liveCalls)}>
              {id}
            </option>
          ))}
        </optgroup>
      )}
    </SelectField>
  );
}

function isListOpen(select: HTMLSelectElement): boolean {
  return CSS.supports('selector(:open)') && select.matches(':open');
}

/** Keeps the chosen agent in the list after its last call has ended. */
function withChosen(agents: readonly Agent[], selection: Selection): readonly Agent[] {
  if (selection.kind !== 'agent' || agents.some(({ id }) => id === selection.agentId)) return agents;
  return [...agents, { id: selection.agentId, name: null, liveCalls: 0 }];
}

/** The fields of a filter. */
export function FilterFields({
  fields,
  ref,
  onChange,
}: {
  fields: Fields;
  ref: Ref<HTMLInputElement>;
  onChange: (fields: Fields) => void;
}) {
  const { calls } = texts;
  const { filter } = texts.stop;
  const hintId = useId();
  const timeField = (name: 'startDate' | 'endDate', bound: Bound) => (
    <DateTimeField
      label={calls[name]}
      name={name}
      value={fields[name]}
      bound={bound}
      onChange={(value) => onChange({ ...fields, [name]: value })}
    />
  );
  return (
    <fieldset className="rounded-md border border-line p-3" aria-describedby={hintId}>
      <legend className="px-1 text-sm font-medium">{filter.title}</legend>
      <p id={hintId} className="mb-3 text-xs text-muted">
        {filter.hint}
      </p>
      <div className="grid gap-3 sm:grid-cols-2">
        <TextField
          ref={ref}
          label={filter.agentId}
          name="agentId"
          autoComplete="off"
          spellCheck={false}
          value={fields.agentId}
          onChange={({ target }) => onChange({ ...fields, agentId: target.value })}
        />
        <TextField
          label={calls.phoneNumber}
          name="phoneNumber"
          type="tel"
          autoComplete="off"
          value={fields.phoneNumber}
          onChange={({ target }) => onChange({ ...fields, phoneNumber: target.value })}
        />
        <StatusBoxes fields={fields} onChange={onChange} />
        <SelectField
          label={calls.direction}
          name="direction"
          value={fields.direction}
          onChange={({ target }) => {
            const direction = DIRECTIONS.find((one) => one === target.value) ?? '';
            onChange({ ...fields, direction });
          }}
        >
          <option value="">{calls.anyDirection}</option>
          {DIRECTIONS.map((direction) => (
            <option key={direction} value={direction}>
              {calls.directions[direction]}
            </option>
          ))}
        </SelectField>
        {timeField('startDate', 'start')}
        {timeField('endDate', 'end')}
      </div>
    </fieldset>
  );
}

function StatusBoxes({ fields, onChange }: { fields: Fields; onChange: (fields: Fields) => void }) {
  return (
    <fieldset>
      <legend className="mb-1 text-sm font-medium">{texts.calls.status}</legend>
      <div className="flex flex-wrap gap-1.5">
        {LIVE_STATUSES.map((status) => {
          const isChecked = fields.status.includes(status);
          return (
            <label
              key={status}
              className={classNames(
                'flex min-h-9 cursor-pointer items-center gap-1.5 rounded-md border px-2.5 text-sm',
                isChecked ? 'border-accent bg-accent-soft text-accent' : 'border-line-strong hover:bg-hover',
              )}
            >
              <input
                type="checkbox"
                name="status"
                className="accent-accent"
                checked={isChecked}
                onChange={() =>
                  onChange({
                    ...fields,
                    status: isChecked
                      ? fields.status.filter((one) => one !== status)
                      : [...fields.status, status],
                  })
                }
              />
              {texts.calls.statuses[status]}
            </label>
          );
        })}
      </div>
    </fieldset>
  );
}
