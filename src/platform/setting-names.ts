/** A mistake of so many letters is one. */
const FARTHEST = 2;
/** In short names two letters are too much of them. */
const LONG = 8;

/** The setting whose name is nearest to one that is not a setting; null when none is near. */
export function nearestSetting(name: string, settings: readonly string[]): string | null {
  const upper = name.toUpperCase();
  const near = settings
    .map((setting) => ({ setting, distance: distance(upper, setting) }))
    .filter(({ setting, distance: far }) => far <= (setting.length < LONG ? 1 : FARTHEST))
    .toSorted((a, b) => a.distance - b.distance);
  return near[0]?.setting ?? null;
}

/** Levenshtein's. */
function distance(a: string, b: string): number {
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
