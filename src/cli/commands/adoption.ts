import type { Command } from 'commander';
import { systemClock, systemRandom } from '../../platform/clock.ts';
import { withExistingStore, withMigratedStore } from '../open-store.ts';
import { CliError, print, printProgress, printTable } from '../output.ts';
import { parseName } from '../parse-name.ts';

/** An error lists at most this many organizations. */
const MAX_LISTED_ORGANIZATIONS = 10;

export function registerAdoptionCommand(program: Command): void {
  const adoption = program
    .command('adoption')
    .description('Manage prefixes that turn unregistered rooms into calls');
  adoption
    .command('add')
    .description('Adopt rooms whose name begins with a prefix; the longest matching prefix wins')
    .requiredOption('--org <name>', 'Organization of the adopted calls', parseName)
    .requiredOption('--prefix <prefix>', 'Prefix of the room names', parseName)
    .option(
      '--create-org',
      'Create the organization if it is missing; the first organization needs no option',
    )
    .action(addPrefix);
  adoption
    .command('list')
    .description('List all prefixes')
    .option('--json', 'Print a JSON array')
    .action(listPrefixes);
  adoption
    .command('remove')
    .description('Remove a prefix; its adopted calls stay')
    .requiredOption('--prefix <prefix>', 'Prefix from `adoption list`', parseName)
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
  return withMigratedStore(async (store) => {
    const prefixes = await store.listAdoptionPrefixes();
    if (prefixes.some((existing) => existing.prefix === prefix)) throw prefixInUse(prefix);
    const organizations = await store.listOrganizations();
    const isNew = !organizations.includes(org);
    if (isNew && !createOrg && organizations.length > 0) {
      const listed = organizations.slice(0, MAX_LISTED_ORGANIZATIONS).join(', ');
      const more = organizations.length > MAX_LISTED_ORGANIZATIONS ? ', ...' : '';
      throw new CliError(
        `organization not found: ${org}. Existing organizations: ${listed}${more}. Correct --org, or create the organization with --create-org.`,
      );
    }
    const result = await store.addAdoptionPrefix({
      prefix,
      organizationName: org,
      organizationIdIfNew: systemRandom.id('org'),
      now: systemClock.now(),
    });
    if (result === 'taken') throw prefixInUse(prefix);
    if (isNew)
      printProgress(`created the organization ${org}; \`hangup keys create --org\` creates a key for it`);
    print(`rooms with the prefix ${prefix} become calls of ${org}`);
  });
}

const prefixInUse = (prefix: string) =>
  new CliError(`the prefix ${prefix} already exists; \`hangup adoption list\` shows its organization`);

function listPrefixes({ json }: { json?: true }): Promise<void> {
  return withExistingStore(async (store) => {
    const prefixes = await store.listAdoptionPrefixes();
    if (json) {
      print(
        JSON.stringify(
          prefixes.map(({ prefix, organizationName }) => ({ prefix, organization: organizationName })),
        ),
      );
    } else if (prefixes.length === 0) {
      print('no prefixes; to add one: hangup adoption add --org NAME --prefix PREFIX');
    } else {
      const rows = prefixes.map(({ prefix, organizationName }) => [prefix, organizationName]);
      printTable([['PREFIX', 'ORGANIZATION'], ...rows]);
    }
  });
}

function removePrefix({ prefix }: { prefix: string }): Promise<void> {
  return withExistingStore(async (store) => {
    const wasRemoved = await store.removeAdoptionPrefix({ prefix, now: systemClock.now() });
    if (!wasRemoved)
      throw new CliError(`prefix not found: ${prefix}; \`hangup adoption list\` lists all prefixes`);
    print(`removed the prefix ${prefix}`);
  });
}
