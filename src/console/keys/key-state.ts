export type KeyState = 'active' | 'expired' | 'revoked';

/** Returns the state of a key. @param now in ms since 1970 */
export function keyStateOf(
  { expiresAt, revokedAt }: { expiresAt: string | null; revokedAt: string | null },
  now: number,
): KeyState {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && Date.parse(expiresAt) <= now ? 'expired' : 'active';
}

const DAY_MS = 86_400_000;

/** The offered expiries, in days. */
export const EXPIRY_DAYS = [1, 7, 30, 90, 365] as const;

/** Returns the expiry that the reader has chosen; null: never; undefined: the date is missing or not in the future. */
export function expiryOf(choice: string, date: string, now: number): string | null | undefined {
  if (choice === 'never') return null;
  const at = choice === 'date' ? Date.parse(date) : now + Number(choice) * DAY_MS;
  return at > now ? new Date(at).toISOString() : undefined;
}
