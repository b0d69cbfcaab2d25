import type { Command } from 'commander';
import { systemClock, systemRandom } from '../../app/app.ts';
import { parseName, print, Refused, tell, withMadeStore, withStore } from '../output.ts';

const SHOWN_ORGANIZATIONS = 10;

/** `hangup adopt`. */
export function addAdopt(hangup: Command): void {
  const adopt = hangup
    .command('adopt')
    .description('say which rooms that nobody registers become calls, and whose');
  adopt
    .command('add')
    .description("rooms whose name begins with a prefix become an organization's calls; of two, the longest")
    .requiredOption('--org <name>', 'the organization', parseName)
    .requiredOption('--prefix <prefix>', 'how the names of its rooms begin', parseName)
    .option('--create-org', 'make the organization if it is absent; needed unless it is the first one')
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

function addPrefix({
  org,
  prefix,
  createOrg = false,
}: {
  org: string;
  prefix: string;
  createOrg?: boolean;
}): Promise<void> {
  return withMadeStore(async (store) => {
    const isTaken = (await store.listAdoptionPrefixes()).some((known) => known.prefix === prefix);
    if (isTaken) throw taken(prefix);
    const organizations = await store.listOrganizations();
    const isNew = !organizations.includes(org);
    if (isNew && !createOrg && organizations.length > 0) {
      const others = organizations.slice(0, SHOWN_ORGANIZATIONS).join(', ');
      const more = organizations.length > SHOWN_ORGANIZATIONS ? ', ...' : '';
      throw new Refused(
        `there is no organization ${org}; there is ${others}${more}. Correct --org, or make it with --create-org.`,
      );
    }
    const result = await store.addAdoptionPrefix({
      prefix,
      organizationName: org,
      organizationIdIfNew: systemRandom.id('org'),
      now: systemClock.now(),
    });
    if (result === 'taken') throw taken(prefix);
    if (isNew) tell(`the organization ${org} is new; \`hangup keys create --org\` makes a key for it`);
    print(`rooms whose name begins with ${prefix} become calls of ${org}`);
  });
}

const taken = (prefix: string) =>
  new Refused(`the prefix ${prefix} is given already; \`hangup adopt list\` shows to whom`);

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
