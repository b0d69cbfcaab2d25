import { Command, CommanderError } from 'commander';
import { appRouter } from '../api/router.ts';
import { errorCode, errorMessage } from '../domain/errors.ts';
import { openApiDocument } from '../http/openapi.ts';
import { readLicenses, readVersion } from '../platform/assets.ts';
import { describeSettings, SettingsError } from '../platform/config.ts';
import { readEnvironment } from '../platform/environment.ts';
import { DatabaseError, toDatabaseError } from '../store/open-store.ts';
import { registerAdoptionCommand } from './commands/adoption.ts';
import { registerBackupCommands } from './commands/backup.ts';
import { registerCallsCommand } from './commands/calls.ts';
import { registerCompletionCommand } from './commands/completion.ts';
import { registerCopyCommand } from './commands/copy.ts';
import { registerDeletionsCommand } from './commands/deletions.ts';
import { registerDocsCommand } from './commands/docs.ts';
import { registerDoctorCommand } from './commands/doctor.ts';
import { registerKeysCommand } from './commands/keys.ts';
import { registerMcpCommand } from './commands/mcp.ts';
import { registerMigrateCommand } from './commands/migrate.ts';
import { registerPruneCommand } from './commands/prune.ts';
import { registerStopCommand } from './commands/stop.ts';
import { CliError, errorStack, print, printProgress } from './output.ts';
import { serve } from './serve.ts';

const HELP_FOOTER = `
Examples:
  hangup                                        Start the server, on the built-in emulator unless LIVEKIT_URL is set
  hangup keys create --org acme --name ops      Create an API key, which is shown only once
  hangup calls list --status active             List active calls on the server at HANGUP_URL, with HANGUP_API_KEY
  hangup calls cancel CALL_ID --reason 'spam'   Cancel a call and delete its room
  hangup stop --agent AGENT --reason 'outage'   Cancel all calls of an agent, after a confirmation
  hangup doctor                                 Find problems and their remedies

Settings come from the environment and from .env. To list them: hangup serve --help
To read the manual: hangup docs

Exit codes:
  0  success
  1  failure; the message contains the remedy
  2  invalid arguments or settings; nothing was started
  3  the database cannot be used
  4  hangup cannot listen on the address
  130  Ctrl-C ended hangup stop; a stop that was started goes on`;

/** The commands that 0.2.0 renamed. The next release removes this list. */
const RENAMED_COMMANDS: Readonly<Record<string, string>> = { adopt: 'adoption' };

/** Returns the exit code when the command is complete; for `serve`, after the signal to stop. */
export async function runCli(args: readonly string[]): Promise<number> {
  handleOutputErrors();
  if (args.some((arg) => arg.includes('\u{FFFD}'))) {
    process.stderr.write('hangup: an argument is not valid UTF-8. Nothing was started.\n');
    return 2;
  }
  try {
    await rejectRepeatedOptions(createProgram()).parseAsync(withCurrentName(args), { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = toDatabaseError(thrown) ?? thrown;
    process.stderr.write(`hangup: ${formatError(error)}\n`);
    if (error instanceof SettingsError) return 2;
    if (error instanceof DatabaseError) return 3;
    if (error instanceof CliError) return error.exitCode;
    return isListenError(error) ? 4 : 1;
  }
}

function withCurrentName([command, ...rest]: readonly string[]): readonly string[] {
  // As commander's default command, serve would also receive unknown commands.
  if (command === undefined) return ['serve'];
  const newName = Object.hasOwn(RENAMED_COMMANDS, command) ? RENAMED_COMMANDS[command] : undefined;
  if (newName === undefined) return [command, ...rest];
  printProgress(
    `warning: \`hangup ${command}\` is the old name of \`hangup ${newName}\`; the next release removes the old name`,
  );
  return [newName, ...rest];
}

/**
 * Ignores a closed pipe, such as that of `hangup docs install | head`. After another output error the command continues,
 * because it may have to undo its work, and exits with 1.
 */
function handleOutputErrors(): void {
  let isReported = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return;
      process.once('exit', () => {
        process.exitCode ||= 1;
      });
      if (stream === process.stdout && !isReported)
        process.stderr.write(`hangup: cannot write to standard output: ${error.message}\n`);
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

function formatError(error: unknown): string {
  if (error instanceof SettingsError || error instanceof DatabaseError || error instanceof CliError) {
    return error.message;
  }
  if (errorCode(error) === 'EADDRINUSE') {
    return `${errorMessage(error)}. Another program uses the port. Stop that program, or set PORT.`;
  }
  if (isListenError(error)) {
    return `${error.message}. Set HOST and PORT to an address of this machine that this user may listen on.`;
  }
  return errorStack(error);
}

function createProgram(): Command {
  const program = new Command('hangup')
    .description('Cancel LiveKit calls and retry until their rooms are gone.')
    .version(versionText(), '-V, --version', 'Print the version and commit')
    .helpOption('-h, --help', 'Show help')
    // `hangup stop` and `hangup stop list` have an option of the same name.
    .enablePositionalOptions()
    // Subcommands inherit these settings only if they are created later.
    .exitOverride()
    .showHelpAfterError('(run with --help for the usage)')
    .addHelpText('after', HELP_FOOTER);

  program.commandsGroup('Server:');
  program
    .command('serve')
    .description('Serve the REST and tRPC APIs, and delete rooms until they are gone (the default)')
    .addHelpText('after', () => settingsText())
    .action(() => serve({ environment: readEnvironment(), version: readVersion().version }));
  registerDoctorCommand(program);
  registerKeysCommand(program);
  registerAdoptionCommand(program);

  program.commandsGroup('Calls:');
  registerCallsCommand(program);
  registerStopCommand(program);
  registerDeletionsCommand(program);
  registerMcpCommand(program);

  program.commandsGroup('Database:');
  registerBackupCommands(program);
  registerCopyCommand(program);
  registerPruneCommand(program);
  registerMigrateCommand(program);

  program.commandsGroup('Information:');
  registerDocsCommand(program);
  program
    .command('openapi')
    .description('Print the OpenAPI document of the REST API')
    .action(() => print(JSON.stringify(openApiDocument(appRouter, readVersion().version), null, 2)));
  registerCompletionCommand(program);
  program
    .command('version')
    .description('Print the version, and the commit of a single-file build')
    .action(() => print(versionText()));
  program
    .command('licenses')
    .description('Print the licenses of all parts of a single-file build')
    .action(() => print(readLicenses() ?? 'hangup runs from source. The licenses are in node_modules.'));
  for (const command of [program, ...program.commands]) {
    if (command.commands.length > 0) command.helpCommand('help [command]', 'Show help for a command');
  }
  return program;
}

/** Without this check, commander silently uses the last value of a repeated option. */
function rejectRepeatedOptions(command: Command): Command {
  for (const option of command.options) {
    const takesOneValue = (option.required || option.optional) && !option.variadic;
    let wasGiven = false;
    command.on(`option:${option.name()}`, () => {
      if (takesOneValue && wasGiven) command.error(`error: option '${option.flags}' was given twice`);
      wasGiven = true;
    });
  }
  command.commands.forEach(rejectRepeatedOptions);
  return command;
}

function versionText(): string {
  const { version, commit } = readVersion();
  return commit === null ? version : `${version} (${commit})`;
}

function settingsText(): string {
  const settings = describeSettings().map(
    ({ name, default: value, range, description }) =>
      `  ${name}${value && `=${value}`}${range && ` (${range})`}\n      ${description}`,
  );
  return `\nSettings, from the environment and from .env:\n${settings.join('\n')}`;
}
