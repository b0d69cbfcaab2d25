/** The keys that open pages, after `g`. */
export const PAGE_KEYS = { c: '/calls', s: '/stop', h: '/health', k: '/keys' } as const;

type PageKey = keyof typeof PAGE_KEYS;
export type ShortcutAction =
  | { readonly kind: 'search' }
  | { readonly kind: 'help' }
  | { readonly kind: 'page'; readonly path: (typeof PAGE_KEYS)[PageKey] };

export interface KeyPress {
  readonly key: string;
  /** Ctrl, Alt or Meta: the browser's own shortcuts. */
  readonly hasModifier: boolean;
  /** The focus is in a control that takes letters, or a dialog is open. */
  readonly isTaken: boolean;
  /** In ms. */
  readonly at: number;
}

/** The longest time between `g` and the key of a page. */
const SEQUENCE_MS = 1_500;

const isPageKey = (key: string): key is PageKey => Object.hasOwn(PAGE_KEYS, key);

/** Returns a function that returns the action of a key press; null without an action. */
export function createShortcuts(): (press: KeyPress) => ShortcutAction | null {
  let startedAt: number | null = null;
  return ({ key, hasModifier, isTaken, at }) => {
    const started = startedAt;
    // The Shift of a key that needs it, such as `?`, does not end a sequence.
    if (key !== 'Shift') startedAt = null;
    if (hasModifier || isTaken) return null;
    if (started !== null && at - started <= SEQUENCE_MS && isPageKey(key)) {
      return { kind: 'page', path: PAGE_KEYS[key] };
    }
    if (key === 'g') startedAt = at;
    if (key === '/') return { kind: 'search' };
    return key === '?' ? { kind: 'help' } : null;
  };
}
