import type { ReactNode } from 'react';
import { CALL_STATUSES } from '../api/call.ts';
import { DELETION_STATES, DeletionStateBadge } from '../room-deletions/state-badge.tsx';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { StatusBadge } from '../ui/status-badge.tsx';

const SHORTCUTS: readonly { readonly keys: readonly string[]; readonly text: string }[] = [
  { keys: ['/'], text: texts.help.search },
  { keys: ['g', 'c'], text: texts.help.goTo(texts.navigation.calls) },
  { keys: ['g', 's'], text: texts.help.goTo(texts.navigation.stop) },
  { keys: ['g', 'h'], text: texts.help.goTo(texts.navigation.health) },
  { keys: ['g', 'k'], text: texts.help.goTo(texts.navigation.keys) },
  { keys: ['?'], text: texts.help.help },
  { keys: ['Esc'], text: texts.help.close },
  { keys: ['Tab'], text: texts.help.tab },
];

/** All shortcuts, and the meaning of statuses. */
export function HelpDialog({
  areShortcutsOn,
  onShortcutsChange,
  onClose,
}: {
  areShortcutsOn: boolean;
  onShortcutsChange: (areOn: boolean) => void;
  onClose: () => void;
}) {
  return (
    <Dialog title={texts.help.title} onClose={onClose}>
      <div className="flex flex-col gap-5">
        <Part title={texts.help.shortcuts}>
          <dl className="grid grid-cols-[6.5rem_minmax(0,1fr)] items-baseline gap-x-4 gap-y-1.5 text-sm">
            {SHORTCUTS.map(({ keys, text }) => (
              <div key={text} className="contents">
                <dt className="whitespace-nowrap">
                  <Keys keys={keys} />
                </dt>
                <dd>{text}</dd>
              </div>
            ))}
          </dl>
          <label className="mt-3 flex items-center gap-2 text-sm">
            <input
              type="checkbox"
              checked={areShortcutsOn}
              onChange={(event) => onShortcutsChange(event.target.checked)}
            />
            {texts.help.areOn}
          </label>
        </Part>
        <Part title={texts.help.callStatuses}>
          <Meanings
            entries={CALL_STATUSES.map((status) => [
              <StatusBadge key={status} status={status} />,
              texts.help.callMeanings[status],
            ])}
          />
        </Part>
        <Part title={texts.help.deletionStates}>
          <Meanings
            entries={DELETION_STATES.map((state) => [
              <DeletionStateBadge key={state} state={state} />,
              texts.help.deletionMeanings[state],
            ])}
          />
        </Part>
        <div className="flex justify-end">
          <Button onClick={onClose}>{texts.common.close}</Button>
        </div>
      </div>
    </Dialog>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h3 className="mb-2 text-sm font-semibold">{title}</h3>
      {children}
    </section>
  );
}

function Keys({ keys }: { keys: readonly string[] }) {
  return keys.map((key, index) => (
    <span key={key}>
      {index > 0 && <span className="px-1 text-xs text-muted">{texts.help.sequence}</span>}
      <kbd className="inline-block min-w-6 rounded border border-line-strong bg-page px-1.5 text-center font-mono text-xs leading-5">
        {key}
      </kbd>
    </span>
  ));
}

function Meanings({ entries }: { entries: readonly (readonly [ReactNode, string])[] }) {
  return (
    <dl className="grid grid-cols-[6.5rem_minmax(0,1fr)] items-baseline gap-x-4 gap-y-1.5 text-sm">
      {entries.map(([badge, text]) => (
        <div key={text} className="contents">
          <dt>{badge}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}
