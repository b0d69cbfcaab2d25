import type { Command } from 'commander';
import { systemClock, systemRandom } from '../app.ts';
import { parseName, print, Refused, withMadeStore, withStore } from './terminal.ts';

/** `hangup adopt`. */
export function addAdopt(hangup: Command): void {
  const adopt = hangup
    .command('adopt')
    .description('say which rooms that nobody registers become calls, and whose');
  adopt
    .command('add')
    .description("rooms whose name begins with a prefix become an organization's calls; of two, the longest")
    .requiredOption('--org <name>', 'the organization; made if absent', parseName)
    .requiredOption('--prefix <prefix>', 'how the names of its rooms begin', parseName)
    .action(addPrefix);
  adopt
    .command('list')
    .description('list all prefixes')
    .option('--json', 'print one JSON array')
    .action(listPrefixes);
  adopt
    .command('remove')
    .description('adopt no more rooms by a prefix; calls stay')
    .requiredOption('--prefix <prefix>', 'the prefix that `adopt list` shows', parseName)
    .action(removePrefix);
}

function addPrefix({ org, prefix }: { org: string; prefix: string }): Promise<void> {
  return withMadeStore(async (store) => {
    const result = await store.addAdoptionPrefix({
      prefix,
      organizationName: org,
      organizationIdIfNew: systemRandom.id('org'),
      now: systemClock.now(),
    });
    if (result === 'taken')
      throw new Refused(`the prefix ${prefix} is given already; \`hangup adopt list\` shows to whom`);
    print(`rooms whose name begins with ${prefix} become calls of ${org}`);
  });
}

function listPrefixes({ json }: { json?: true }): Promise<void> {
  return withStore(async (store) => {
    const prefixes = await store.listAdoptionPrefixes();
    if (json) {
      print(
        JSON.stringify(
          prefixes.map(({ prefix, organizationName }) => ({ prefix, organization: organizationName })),
        ),
      );
    } else if (prefixes.length === 0) {
      print('no prefixes; give one with: hangup adopt add --org NAME --prefix PREFIX');
    } else {
      for (const { prefix, organizationName } of prefixes) print(`${prefix}  ${organizationName}`);
    }
  });
}

function removePrefix({ prefix }: { prefix: string }): Promise<void> {
  return withStore(async (store) => {
    const wasThere = await store.removeAdoptionPrefix({ prefix, now: systemClock.now() });
    if (!wasThere) throw new Refused(`there is no prefix ${prefix}; \`hangup adopt list\` shows them`);
    print(`${prefix} is removed`);
  });
}
