import type { Group } from './group.ts';
import { cancels } from './rows/cancels.ts';
import { comparison } from './rows/comparison.ts';
import { deletions } from './rows/deletions.ts';
import { reads } from './rows/reads.ts';
import { trpc } from './rows/trpc.ts';
import { webhooks } from './rows/webhooks.ts';

/** The quick rows come first. */
export const GROUPS: readonly Group[] = [...cancels, ...webhooks, ...reads, ...trpc, deletions, comparison];
