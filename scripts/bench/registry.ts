import type { Group } from './group.ts';
import { cancels } from './rows/cancels.ts';
import { comparison } from './rows/comparison.ts';
import { deletions } from './rows/deletions.ts';
import { hanging } from './rows/hanging.ts';
import { list, memory, postgresList } from './rows/large.ts';
import { postgres } from './rows/postgres.ts';
import { prune } from './rows/prune.ts';
import { reads } from './rows/reads.ts';
import { idleMemory, start } from './rows/start.ts';
import { stop } from './rows/stop.ts';
import { trpc } from './rows/trpc.ts';
import { webhooks } from './rows/webhooks.ts';

/** The quick rows come first. */
export const GROUPS: readonly Group[] = [
  ...cancels,
  ...webhooks,
  ...reads,
  ...trpc,
  deletions,
  ...stop,
  ...postgres,
  comparison,
  start,
  hanging,
  prune,
  idleMemory,
  list,
  postgresList,
  memory,
];
