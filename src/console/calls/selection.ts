/** The selected calls. `all`: every live call that matches the filter, also those that are not loaded. */
export type Selection =
  | { readonly kind: 'some'; readonly ids: ReadonlySet<string> }
  | { readonly kind: 'all' };

export const NOTHING: Selection = { kind: 'some', ids: new Set() };

export function isSelected(selection: Selection, id: string): boolean {
  return selection.kind === 'all' || selection.ids.has(id);
}

/**
 * Returns the selection after a click on a call's checkbox. With `from`, the click extends the last one: every call
 * between them gets the same state.
 * @param selectable the ids of the loaded live calls, in the order of the list
 */
export function toggle(
  selection: Selection,
  { id, from, selectable }: { id: string; from: string | null; selectable: readonly string[] },
): Selection {
  const ids = new Set(selection.kind === 'all' ? selectable : selection.ids);
  const isAdded = !isSelected(selection, id);
  for (const changed of between(selectable, from ?? id, id)) {
    if (isAdded) ids.add(changed);
    else ids.delete(changed);
  }
  return { kind: 'some', ids };
}

function between(ids: readonly string[], from: string, to: string): readonly string[] {
  const first = ids.indexOf(from);
  const last = ids.indexOf(to);
  if (first === -1 || last === -1) return [to];
  return ids.slice(Math.min(first, last), Math.max(first, last) + 1);
}

/** Returns the selection without calls that `isSelectable` refuses, such as ended calls; the same object if nothing changes. */
export function prune(selection: Selection, isSelectable: (id: string) => boolean): Selection {
  if (selection.kind === 'all') return selection;
  const ids = new Set([...selection.ids].filter(isSelectable));
  return ids.size === selection.ids.size ? selection : { kind: 'some', ids };
}
