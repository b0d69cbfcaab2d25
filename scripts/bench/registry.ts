import type { Group } from './group.ts';
import { cancels } from './rows/cancels.ts';
import { comparison } from './rows/comparison.ts';
import { deletions } from './rows/deletions.ts';
import { reads } from './rows/reads.ts';
import { trpc } from './rows/trpc.ts';

/** The quick rows come first. */
export const GROUPS: readonly Group[] = [...cancels, ...reads, ...trpc, deletions, comparison];
