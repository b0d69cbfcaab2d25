import { type Command, InvalidArgumentError, Option } from 'commander';
import { dateOrTimestamp } from '../../api/validators.ts';
import { systemClock, systemRandom } from '../../app/app.ts';
import { type ApiKey, isActive, SCOPES, type Scope } from '../../domain/api-key.ts';
import { createApiKey } from '../../operations/api-keys/create.ts';
import { parseName, print, printSafely, Refused, tell, withMadeStore, withStore } from '../output.ts';

/** `hangup keys`. */
export function addKeys(hangup: Command): void {
  const keys = hangup.command('keys').description('make, list and revoke API keys');
  keys
    .command('create')
    .description('make a key; it is shown once and never again')
    .requiredOption('--org <name>', 'the organization; made if absent', parseName)
    .requiredOption('--name <name>', 'what the key is for', parseName)
    .addOption(
      new Option('--scope <scope...>', 'what the key may do').choices(SCOPES).default([...SCOPES], 'all'),
    )
    .option('--expires <when>', 'an ISO 8601 date or time, or a number of days such as 90d', expiry)
    .option('--json', 'print one JSON object')
    .action(createKey);
  keys
    .command('list')
    .description('list all keys, oldest first')
    .option('--org <name>', 'only of this organization', parseName)
    .option('--json', 'print one JSON array')
    .action(listKeys);
  keys
    .command('revoke')
    .description('revoke a key, at once and for good')
    .argument('<id>', 'the id that `keys list` shows')
    .option('--json', 'print one JSON object')
    .action(revokeKey);
}

function createKey(options: {
  org: string;
  name: string;
  scope: Scope[];
  expires?: number;
  json?: true;
}): Promise<void> {
  return withMadeStore(async (store) => {
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
      tell(`keep this key now, it is not shown again; \`hangup keys revoke ${apiKey.id}\` if it is lost`);
    }
    try {
      await printSafely(options.json ? JSON.stringify({ ...toJson(apiKey), key }) : key);
    } catch (error) {
      await store.revokeApiKey({ id: apiKey.id, now: systemClock.now() });
      const why = error instanceof Error ? error.message : String(error);
      throw new Refused(
        `the key could not be written (${why}), so ${apiKey.id} is revoked. Make another one, with an output that can be written.`,
      );
    }
  });
}

function listKeys(options: { org?: string; json?: true }): Promise<void> {
  return withStore(async (store) => {
    const all = await store.listApiKeys();
    const keys = all.filter(
      ({ organizationName }) => options.org === undefined || organizationName === options.org,
    );
    if (options.json) print(JSON.stringify(keys.map(toJson)));
    else if (keys.length === 0) print('no keys; make one with: hangup keys create --org NAME --name NAME');
    for (const key of options.json ? [] : keys) {
      print([key.id, key.organizationName, key.name, key.scopes.join(','), stateOf(key)].join('  '));
    }
  });
}

function revokeKey(id: string, options: { json?: true }): Promise<void> {
  return withStore(async (store) => {
    const key = await store.revokeApiKey({ id, now: systemClock.now() });
    if (key === null) throw new Refused(`there is no key ${id}; \`hangup keys list\` shows the ids`);
    print(options.json ? JSON.stringify(toJson(key)) : `${key.id} (${key.name}) is revoked`);
  });
}

function toJson(key: ApiKey) {
  const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString());
  return {
    id: key.id,
    organization: key.organizationName,
    organizationId: key.organizationId,
    name: key.name,
    scopes: key.scopes,
    createdAt: iso(key.createdAt),
    expiresAt: iso(key.expiresAt),
    revokedAt: iso(key.revokedAt),
    lastUsedAt: iso(key.lastUsedAt),
  };
}

function stateOf(key: ApiKey): string {
  if (key.revokedAt !== null) return 'revoked';
  if (!isActive(key, systemClock.now())) return 'expired';
  return key.expiresAt === null ? 'valid' : `valid until ${new Date(key.expiresAt).toISOString()}`;
}

function expiry(text: string): number {
  const now = systemClock.now();
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const at = days === undefined ? momentOf(text) : now + Number(days) * 86_400_000;
  if (at !== undefined && at > now) return at;
  throw new InvalidArgumentError('expected a moment to come: 2027-01-31, 2027-01-31T12:00:00Z or 90d.');
}

/** Not by Date.parse, which takes 2027-02-30 for the second of March. */
const momentOf = (text: string) => dateOrTimestamp('startOfDay').safeParse(text).data;
