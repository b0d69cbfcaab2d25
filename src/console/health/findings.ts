import type { Outputs } from '../api/trpc.ts';

export type Finding = Outputs['health']['findings']['findings'][number];
export type Level = Finding['level'];

/** From the level that needs an operator first. */
export const LEVELS = ['failure', 'warning', 'unknown', 'ok'] as const satisfies Level[];

/** Returns the findings that need an operator first; equal levels keep their order. */
export function byLevel(findings: readonly Finding[]): readonly Finding[] {
  return LEVELS.flatMap((level) => findings.filter((finding) => finding.level === level));
}

/** Returns the number of findings of each level. */
export function countLevels(findings: readonly Finding[]): ReadonlyMap<Level, number> {
  return new Map(
    LEVELS.map((level) => [level, findings.filter((finding) => finding.level === level).length]),
  );
}
