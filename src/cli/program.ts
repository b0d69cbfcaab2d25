import { Command, CommanderError } from 'commander';
import { appRouter } from '../api/router.ts';
import { openApiDocument } from '../http/openapi.ts';
import { readLicenses, readVersion } from '../platform/assets.ts';
import { describeSettings, SettingsError } from '../platform/config.ts';
import { readEnvironment } from '../platform/environment.ts';
import { DatabaseError, toDatabaseError } from '../store/open-store.ts';
import { addAdopt } from './commands/adoption.ts';
import { addBackup } from './commands/backup.ts';
import { addCalls } from './commands/calls.ts';
import { addCompletion } from './commands/completion.ts';
import { addDeletions } from './commands/deletions.ts';
import { addDocs } from './commands/docs.ts';
import { registerDoctorCommand } from './commands/doctor.ts';
import { addKeys } from './commands/keys.ts';
import { addMigrate } from './commands/migrate.ts';
import { addPrune } from './commands/prune.ts';
import { print, Refused } from './output.ts';
import { serve } from './serve.ts';

const MORE_HELP = `
Examples:
  hangup                                        serve, on the built-in emulator unless LIVEKIT_URL is set
  hangup keys create --org acme --name ops      make a key for the API; it is shown once
  hangup calls list --status active             with HANGUP_API_KEY, of the server at HANGUP_URL
  hangup calls cancel CALL_ID --reason 'fire'   end a call, and delete its room
  hangup doctor                                 what is wrong, and what to do about it

Settings come from the environment and from .env: hangup serve --help lists them.
The manual is inside: hangup docs

Exit codes:
  0  done
  1  failed: the message says what to do
  2  wrong usage or wrong settings; nothing was begun
  3  the database cannot be used
  4  the address cannot be listened on`;

/** @returns the process's exit code, once the command is over; for `serve` when it was told to stop. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  failWithTheOutput();
  if (args.some((word) => word.includes('\u{FFFD}'))) {
    process.stderr.write('hangup: an argument is not UTF-8. Nothing was begun.\n');
    return 2;
  }
  try {
    // Without a word it serves; as commander's default command `serve` would be given each word that is none.
    await onceEach(program()).parseAsync(args.length === 0 ? ['serve'] : args, { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = toDatabaseError(thrown) ?? thrown;
    process.stderr.write(`hangup: ${explain(error)}\n`);
    if (error instanceof SettingsError) return 2;
    if (error instanceof DatabaseError) return 3;
    return isListenError(error) ? 4 : 1;
  }
}

/**
 * A reader of the output that has gone (`hangup docs install | head`) is not a failure. After any other error the
 * command goes on, because it may have to undo its work, and ends with 1.
 */
function failWithTheOutput(): void {
  let isReported = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return;
      process.once('exit', () => {
        process.exitCode ||= 1;
      });
      if (stream === process.stdout && !isReported)
        process.stderr.write(`hangup: its output cannot be written: ${error.message}\n`);
      isReported = true;
    });
  }
}

function isListenError(error: unknown): error is Error {
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
    }
  }
  if (isListenError(error)) {
    return `${error.message}. Set HOST and PORT to an address of this machine that this user may listen on.`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function program(): Command {
  const hangup = new Command('hangup')
    .description('Cancel a LiveKit call, and know that it is over.')
    .version(versionText(), '-V, --version', 'print the version and the commit')
    // Passed on to the subcommands, which are made after it.
    .exitOverride()
    .showHelpAfterError('(--help lists what there is)')
    .addHelpText('after', MORE_HELP);

  hangup.commandsGroup('The service:');
  hangup
    .command('serve')
    .description('serve the REST and tRPC API, and delete rooms until they are gone (the default)')
    .addHelpText('after', () => settingsText())
    .action(() => serve({ environment: readEnvironment(), version: readVersion().version }));
  registerDoctorCommand(hangup);
  addKeys(hangup);
  addAdopt(hangup);

  hangup.commandsGroup('Calls:');
  addCalls(hangup);
  addDeletions(hangup);

  hangup.commandsGroup('The database:');
  addBackup(hangup);
  addPrune(hangup);
  addMigrate(hangup);

  hangup.commandsGroup('About it:').helpCommand(true);
  addDocs(hangup);
  hangup
    .command('openapi')
    .description('print the OpenAPI document of the REST API')
    .action(() => print(JSON.stringify(openApiDocument(appRouter, readVersion().version), null, 2)));
  addCompletion(hangup);
  hangup
    .command('version')
    .description('print the version, and the commit that a single file was built from')
    .action(() => print(versionText()));
  hangup
    .command('licenses')
    .description('print the licenses of what this file holds')
    .action(() => print(readLicenses() ?? 'This is hangup from source: the licenses lie in node_modules.'));
  return hangup;
}

/** Of two values for one option commander would take the last. */
function onceEach(command: Command): Command {
  for (const option of command.options) {
    const takesOne = (option.required || option.optional) && !option.variadic;
    let wasGiven = false;
    command.on(`option:${option.name()}`, () => {
      if (takesOne && wasGiven) command.error(`error: option '${option.flags}' was given twice`);
      wasGiven = true;
    });
  }
  command.commands.forEach(onceEach);
  return command;
}

function versionText(): string {
  const { version, commit } = readVersion();
  return commit === null ? version : `${version} (${commit})`;
}

function settingsText(): string {
  const settings = describeSettings().map(
    ({ name, byDefault, meaning }) => `  ${name}${byDefault && `=${byDefault}`}\n      ${meaning}`,
  );
  return `\nSettings, from the environment and from .env:\n${settings.join('\n')}`;
}
