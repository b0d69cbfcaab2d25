import { type Command, InvalidArgumentError, Option } from 'commander';
import { dateOrTimestamp } from '../../api/validators.ts';
import { type ApiKey, isActive, SCOPES, type Scope } from '../../domain/api-key.ts';
import { errorMessage } from '../../domain/errors.ts';
import { toIso, toIsoOrNull } from '../../domain/time.ts';
import { createApiKey } from '../../operations/api-keys/create.ts';
import { systemClock, systemRandom } from '../../platform/clock.ts';
import { withExistingStore, withMigratedStore } from '../open-store.ts';
import { CliError, print, printProgress, printSafely, printTable } from '../output.ts';
import { parseName } from '../parse-name.ts';

export function registerKeysCommand(program: Command): void {
  const keys = program.command('keys').description('Create, list and revoke API keys');
  keys
    .command('create')
    .description('Create a key; it is shown only once')
    .requiredOption('--org <name>', 'Organization; created if missing', parseName)
    .requiredOption('--name <name>', 'Purpose of the key', parseName)
    .addOption(
      new Option('--scope <scope...>', 'Scopes of the key').choices(SCOPES).default([...SCOPES], 'all'),
    )
    .option(
      '--expires <when>',
      'Expiry: an ISO 8601 date or time, or a number of days such as 90d',
      parseExpiry,
    )
    .option('--json', 'Print a JSON object')
    .action(createKey);
  keys
    .command('list')
    .description('List all keys, oldest first')
    .option('--org <name>', 'Only keys of this organization', parseName)
    .option('--json', 'Print a JSON array')
    .action(listKeys);
  keys
    .command('revoke')
    .description('Revoke a key at once and permanently')
    .argument('<id>', 'Key id from `keys list`')
    .option('--json', 'Print a JSON object')
    .action(revokeKey);
}

function createKey(options: {
  org: string;
  name: string;
  scope: Scope[];
  expires?: number;
  json?: true;
}): Promise<void> {
  return withMigratedStore(async (store) => {
    const { apiKey, key } = await createApiKey(
      { store, clock: systemClock, random: systemRandom },
      {
        organizationName: options.org,
        name: options.name,
        scopes: [...new Set(options.scope)],
        expiresAt: options.expires ?? null,
      },
    );
    if (!options.json) {
      printProgress(
        `store this key now, because hangup cannot show it again; if the key is lost, run \`hangup keys revoke ${apiKey.id}\``,
      );
    }
    try {
      await printSafely(options.json ? JSON.stringify({ ...toJson(apiKey), key }) : key);
    } catch (error) {
      await store.revokeApiKey({ id: apiKey.id, now: systemClock.now() });
      throw new CliError(
        `cannot write the key (${errorMessage(error)}); ${apiKey.id} is revoked. Create another key with a writable output.`,
      );
    }
  });
}

function listKeys(options: { org?: string; json?: true }): Promise<void> {
  return withExistingStore(async (store) => {
    const allKeys = await store.listApiKeys();
    const keys = allKeys.filter(
      ({ organizationName }) => options.org === undefined || organizationName === options.org,
    );
    if (options.json) print(JSON.stringify(keys.map(toJson)));
    else if (keys.length === 0) print('no keys; to create one: hangup keys create --org NAME --name NAME');
    else {
      const rows = keys.map((key) => [
        key.id,
        key.organizationName,
        key.name,
        key.scopes.join(','),
        keyState(key),
      ]);
      printTable([['KEY', 'ORGANIZATION', 'NAME', 'SCOPES', 'STATE'], ...rows]);
    }
  });
}

function revokeKey(id: string, options: { json?: true }): Promise<void> {
  return withExistingStore(async (store) => {
    const key = await store.revokeApiKey({ id, now: systemClock.now() });
    if (key === null) throw new CliError(`key not found: ${id}; \`hangup keys list\` lists all key ids`);
    print(options.json ? JSON.stringify(toJson(key)) : `revoked ${key.id} (${key.name})`);
  });
}

function toJson(key: ApiKey) {
  return {
    id: key.id,
    organization: key.organizationName,
    organizationId: key.organizationId,
    name: key.name,
    scopes: key.scopes,
    createdAt: toIso(key.createdAt),
    expiresAt: toIsoOrNull(key.expiresAt),
    revokedAt: toIsoOrNull(key.revokedAt),
    lastUsedAt: toIsoOrNull(key.lastUsedAt),
  };
}

function keyState(key: ApiKey): string {
  if (key.revokedAt !== null) return 'revoked';
  if (!isActive(key, systemClock.now())) return 'expired';
  return key.expiresAt === null ? 'valid' : `valid until ${toIso(key.expiresAt)}`;
}

function parseExpiry(text: string): number {
  const now = systemClock.now();
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const at = days === undefined ? parseTimeOrDate(text) : now + Number(days) * 86_400_000;
  if (at !== undefined && at > now) return at;
  throw new InvalidArgumentError(
    'expected a future date or a number of days, such as 2027-01-31, 2027-01-31T12:00:00Z or 90d.',
  );
}

/** Parses by the API's rules: Date.parse would accept 2027-02-30 as the second of March. */
const parseTimeOrDate = (text: string) => dateOrTimestamp('startOfDay').safeParse(text).data;
