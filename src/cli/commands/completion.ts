import { Argument, type Command } from 'commander';
import { print } from '../output.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function registerCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('Print a shell completion script: source <(hangup completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => print(SCRIPTS[shell](collectCommands(program))));
}

interface CompletionItem {
  readonly text: string;
  readonly description: string;
  /** The values of an option; null if the option takes no value. */
  readonly values: readonly string[] | null;
}

/** A command and the words that may follow it. */
interface CommandNode {
  /** The words of the command, such as `keys list`; empty for hangup itself. */
  readonly path: string;
  readonly items: readonly CompletionItem[];
  readonly acceptsFile: boolean;
}

function collectCommands(command: Command, path: readonly string[] = []): readonly CommandNode[] {
  const item = (text: string, description = '', values: readonly string[] | null = null) => ({
    text,
    description,
    values,
  });
  const items = [
    ...command.commands.map((subcommand) => item(subcommand.name(), subcommand.description())),
    ...command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices.map((choice) => item(choice))),
    ...command.options.map(({ long, short, description, argChoices, required, optional }) =>
      item(long ?? short ?? '', description, required || optional ? (argChoices ?? []) : null),
    ),
    item('--help', 'Show help'),
  ];
  const acceptsFile = command.registeredArguments.some((argument) => argument.name() === 'file');
  const node = { path: path.join(' '), items, acceptsFile };
  return [
    node,
    ...command.commands.flatMap((subcommand) => collectCommands(subcommand, [...path, subcommand.name()])),
  ];
}

type Nodes = readonly CommandNode[];

/** For bash and zsh: `at` is the path of the command before the cursor. */
const WALK_SNIPPET = `"\${at:+$at }$word"`;
const paths = (nodes: Nodes) => nodes.flatMap(({ path }) => (path === '' ? [] : [`'${path}'`])).join('|');
const cases = (nodes: Nodes) =>
  nodes
    .flatMap(({ path, items, acceptsFile }) => [
      ...items.flatMap(({ text, values }) =>
        values === null ? [] : [`    '${path}:${text}') after='${values.join(' ')}' ;;`],
      ),
      `    '${path}:'*) ${acceptsFile ? '[[ $now != -* ]] || ' : ''}after='${items.map(({ text }) => text).join(' ')}' ;;`,
    ])
    .join('\n');

const bash = (nodes: Nodes) => `_hangup() {
  local at='' after='' word now="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case ${WALK_SNIPPET} in
      ${paths(nodes)}) at=${WALK_SNIPPET} ;;
    esac
  done
  case "$at:\${COMP_WORDS[COMP_CWORD-1]}" in
${cases(nodes)}
  esac
  COMPREPLY=($(compgen -W "$after" -- "$now"))
}
complete -o default -F _hangup hangup`;

const zsh = (nodes: Nodes) => `#compdef hangup
_hangup() {
  local at='' after='' word now="\${words[CURRENT]}"
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case ${WALK_SNIPPET} in
      ${paths(nodes)}) at=${WALK_SNIPPET} ;;
    esac
  done
  case "$at:\${words[CURRENT-1]}" in
${cases(nodes)}
  esac
  compadd -- \${=after} || _files
}
if [[ $funcstack[1] = _hangup ]]; then
  _hangup "$@"
else
  (( $+functions[compdef] )) || { autoload -U compinit && compinit }
  compdef _hangup hangup
fi`;

function fish(nodes: Nodes): string {
  const quote = (text: string) => `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
  const at = (path: string) => path && ` ${path}`;
  const lines = nodes.flatMap(({ path, items, acceptsFile }) => {
    const rule = `complete -c hangup -n "__hangup_is_at ${quote(at(path))}"`;
    return [
      ...(acceptsFile ? [`${rule} -F`] : []),
      ...items.map(({ text, description, values }) => {
        const option = text.startsWith('--') ? `-l ${text.slice(2)}` : `-a ${text}`;
        const argument = values === null ? '' : ` -x -a ${quote(values.join(' '))}`;
        return `${rule} ${option}${argument} -d ${quote(description)}`;
      }),
    ];
  });
  return `function __hangup_is_at
  set -l at
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case ${nodes.map(({ path }) => quote(at(path))).join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
complete -c hangup -f
${lines.join('\n')}`;
}

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (nodes: Nodes) => string>> = { bash, zsh, fish };
