import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { appRouter } from './api/router.ts';
import { systemClock, systemRandom } from './app.ts';
import { readLicenses, readVersion } from './assets.ts';
import { addBackup } from './commands/backup.ts';
import { addCalls } from './commands/calls.ts';
import { addCompletion } from './commands/completion.ts';
import { addDeletions } from './commands/deletions.ts';
import { addDocs } from './commands/docs.ts';
import { addMigrate } from './commands/migrate.ts';
import { addPrune } from './commands/prune.ts';
import { print, Refused, withStore } from './commands/terminal.ts';
import { readEnvironment, SettingsError } from './config.ts';
import { diagnose } from './doctor.ts';
import { type ApiKey, isUsable, SCOPES, type Scope } from './domain/api-key.ts';
import type { Finding } from './domain/diagnosis.ts';
import { openApiDocument } from './http/openapi.ts';
import { createApiKey } from './operations/create-api-key.ts';
import { serve } from './serve.ts';
import { DatabaseError } from './store/database.ts';

const EXIT_CODES = `
Exit codes:
  0  done
  1  failed: the message says what to do
  2  wrong usage or wrong settings; nothing was begun
  3  the database cannot be used
  4  the address cannot be listened on`;

/** @returns the process's exit code, once the command is over; for `serve` when it was told to stop. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`hangup: ${explain(error)}\n`);
    if (error instanceof SettingsError) return 2;
    if (error instanceof DatabaseError) return 3;
    return isListenError(error) ? 4 : 1;
  }
}

function isListenError(error: unknown): boolean {
  return (
    error instanceof Error &&
    'syscall' in error &&
    (error.syscall === 'listen' || error.syscall === 'getaddrinfo')
  );
}

function explain(error: unknown): string {
  if (error instanceof SettingsError || error instanceof DatabaseError || error instanceof Refused) {
    return error.message;
  }
  if (error instanceof Error && 'code' in error) {
    switch (error.code) {
      case 'EADDRINUSE':
        return `${error.message}. Another program listens there: stop it, or set PORT.`;
      case 'EACCES':
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        return `${error.message}. Set HOST and PORT to an address of this machine that this user may listen on.`;
    }
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function program(): Command {
  const hangup = new Command('hangup')
    .description('Cancel a LiveKit call, and know that it is over.')
    // Passed on to the subcommands, which are made after it.
    .exitOverride()
    .showHelpAfterError()
    .addHelpText('after', EXIT_CODES);

  hangup
    .command('serve', { isDefault: true })
    .description('serve the REST and tRPC API (the default); settings come from the environment and .env')
    .action(() => serve({ environment: readEnvironment(), version: readVersion().version }));

  const keys = hangup.command('keys').description('make, list and revoke API keys');
  keys
    .command('create')
    .description('make a key; it is shown once and never again')
    .requiredOption('--org <name>', 'the organization; made if absent', name)
    .requiredOption('--name <name>', 'what the key is for', name)
    .addOption(
      new Option('--scope <scope...>', 'what the key may do').choices(SCOPES).default([...SCOPES], 'all'),
    )
    .option('--expires <when>', 'an ISO 8601 date or time, or a number of days such as 90d', expiry)
    .option('--json', 'print one JSON object')
    .action(createKey);
  keys
    .command('list')
    .description('list all keys, oldest first')
    .option('--org <name>', 'only of this organization', name)
    .option('--json', 'print one JSON array')
    .action(listKeys);
  keys
    .command('revoke')
    .description('revoke a key, at once and for good')
    .argument('<id>', 'the id that `keys list` shows')
    .option('--json', 'print one JSON object')
    .action(revokeKey);

  const adopt = hangup
    .command('adopt')
    .description('say which rooms that nobody registers become calls, and whose');
  adopt
    .command('add')
    .description("rooms whose name begins with a prefix become an organization's calls; of two, the longest")
    .requiredOption('--org <name>', 'the organization; made if absent', name)
    .requiredOption('--prefix <prefix>', 'how the names of its rooms begin', name)
    .action(addPrefix);
  adopt
    .command('list')
    .description('list all prefixes')
    .option('--json', 'print one JSON array')
    .action(listPrefixes);
  adopt
    .command('remove')
    .description('adopt no more rooms by a prefix; calls stay')
    .requiredOption('--prefix <prefix>', 'the prefix that `adopt list` shows', name)
    .action(removePrefix);

  addCalls(hangup);
  addDeletions(hangup);
  addBackup(hangup);
  addPrune(hangup);
  hangup
    .command('doctor')
    .description(
      'look at settings, database, LiveKit and webhooks, also beside a running hangup; changes nothing',
    )
    .option('--json', 'print one JSON object')
    .action(seeDoctor);
  addMigrate(hangup);
  hangup
    .command('openapi')
    .description('print the OpenAPI document of the REST API')
    .action(() => print(JSON.stringify(openApiDocument(appRouter, readVersion().version), null, 2)));
  hangup
    .command('version')
    .description('print the version, and the commit that a single file was built from')
    .action(() => {
      const { version, commit } = readVersion();
      print(commit === null ? version : `${version} (${commit})`);
    });
  hangup
    .command('licenses')
    .description('print the licenses of what this file holds')
    .action(() => print(readLicenses() ?? 'This is hangup from source: the licenses lie in node_modules.'));
  addDocs(hangup);
  addCompletion(hangup);
  return hangup;
}

function createKey(options: {
  org: string;
  name: string;
  scope: Scope[];
  expires?: number;
  json?: true;
}): Promise<void> {
  return withStore(async (store) => {
    const { apiKey, key } = await createApiKey(
      { store, clock: systemClock, random: systemRandom },
      {
        organizationName: options.org,
        name: options.name,
        scopes: [...new Set(options.scope)],
        expiresAt: options.expires ?? null,
      },
    );
    if (options.json) print(JSON.stringify({ ...toJson(apiKey), key }));
    else print(`${key}\n\nKeep it now: it is not shown again. Its id is ${apiKey.id}.`);
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

function addPrefix({ org, prefix }: { org: string; prefix: string }): Promise<void> {
  return withStore(async (store) => {
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

async function seeDoctor({ json }: { json?: true }): Promise<void> {
  const findings = await diagnose(systemClock);
  const failures = findings.filter(({ level }) => level === 'failure').length;
  if (json) print(JSON.stringify({ ok: failures === 0, findings }));
  else for (const finding of findings) print(lineOf(finding));
  if (failures > 0) throw new Refused(`${failures} of ${findings.length} checks failed`);
}

function lineOf({ level, check, message, advice }: Finding): string {
  const line = `${level.padEnd(8)} ${check.padEnd(12)} ${message}`;
  return advice === undefined ? line : `${line}\n${' '.repeat(22)}-> ${advice}`;
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
  if (!isUsable(key, systemClock.now())) return 'expired';
  return key.expiresAt === null ? 'valid' : `valid until ${new Date(key.expiresAt).toISOString()}`;
}

function name(text: string): string {
  if (/^[^\p{Cc}]{1,128}$/u.test(text) && text.trim() === text) return text;
  throw new InvalidArgumentError('expected 1 to 128 characters.');
}

function expiry(text: string): number {
  const days = /^(\d{1,4})d$/.exec(text)?.[1];
  const isIso = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text);
  const now = systemClock.now();
  const at = days === undefined ? (isIso ? Date.parse(text) : Number.NaN) : now + Number(days) * 86_400_000;
  if (at > now) return at;
  throw new InvalidArgumentError('expected a moment to come: 2027-01-31, 2027-01-31T12:00:00Z or 90d.');
}
