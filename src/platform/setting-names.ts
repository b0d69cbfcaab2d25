/** Maximum number of mistyped letters. */
const MAX_DISTANCE = 2;
/** In a shorter name, only one letter may differ. */
const LONG_NAME_LENGTH = 8;

/** Returns the setting that resembles a name most, ignoring case; null if no setting is close. */
export function nearestSetting(name: string, settings: readonly string[]): string | null {
  const upper = name.toUpperCase();
  const candidates = settings
    // The distance of two names is at least the difference of their lengths.
    .filter((setting) => Math.abs(setting.length - upper.length) <= MAX_DISTANCE)
    .map((setting) => ({ setting, distance: levenshtein(upper, setting) }))
    .filter(({ setting, distance }) => distance <= (setting.length < LONG_NAME_LENGTH ? 1 : MAX_DISTANCE))
    .toSorted((a, b) => a.distance - b.distance);
  return candidates[0]?.setting ?? null;
}

function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
