import { useEffect, useEffectEvent, useState } from 'react';
import { createShortcuts, type ShortcutAction } from './shortcuts.ts';

const STORED = 'hangup-shortcuts';
const OFF = 'off';

/** Calls `onAction` for the shortcuts of the console, unless they are off, the reader types, or a dialog is open. */
export function useShortcuts(isOn: boolean, onAction: (action: ShortcutAction) => void): void {
  const act = useEffectEvent(onAction);
  useEffect(() => {
    if (!isOn) return;
    const read = createShortcuts();
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || event.repeat) return;
      const action = read({
        key: event.key,
        hasModifier: event.ctrlKey || event.altKey || event.metaKey,
        isTaken: takesLetters(event.target) || document.querySelector('dialog:modal') !== null,
        at: event.timeStamp,
      });
      if (action === null) return;
      event.preventDefault();
      act(action);
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, [isOn]);
}

/** Input types without letters. */
const PLAIN_INPUTS = new Set(['button', 'checkbox', 'radio', 'range', 'reset', 'submit']);

function takesLetters(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !PLAIN_INPUTS.has(target.type);
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('[role=listbox] *'));
}

/** Whether the shortcuts are on, in this browser. A speech input, for example, needs them off. */
export function useShortcutSetting(): [isOn: boolean, set: (isOn: boolean) => void] {
  const [isOn, setIsOn] = useState(() => readStored() !== OFF);
  return [
    isOn,
    (next) => {
      setIsOn(next);
      store(next);
    },
  ];
}

/** A browser without storage keeps the setting for this page only. */
function readStored(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function store(isOn: boolean): void {
  try {
    if (isOn) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, OFF);
  } catch {
    // Kept for this page.
  }
}

/** How long another page may take to show its search field. */
const SEARCH_TIMEOUT_MS = 3_000;

/** Focuses the search field of the page, when it is there. */
export function focusSearch(): void {
  if (focusNow()) return;
  const observer = new MutationObserver(() => {
    if (focusNow()) observer.disconnect();
  });
  observer.observe(document.body, { childList: true, subtree: true });
  setTimeout(() => observer.disconnect(), SEARCH_TIMEOUT_MS);
}

function focusNow(): boolean {
  const field = document.getElementById('search');
  if (!(field instanceof HTMLInputElement)) return false;
  field.focus();
  field.select();
  return true;
}
