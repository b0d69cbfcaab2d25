import { Argument, type Command } from 'commander';
import { print } from './terminal.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `hangup completion`: a script for the shell, out of the commands themselves. */
export function addCompletion(hangup: Command): void {
  hangup
    .command('completion')
    .description('print what makes your shell complete hangup: source <(hangup completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => print(SCRIPTS[shell](wordsOf(hangup))));
}

/** The words that may follow, by the command as it is typed so far: '' for hangup itself. */
function wordsOf(command: Command, path: readonly string[] = []): Map<string, readonly string[]> {
  const options = command.options.map(({ long, short }) => long ?? short ?? '');
  const words = [...command.commands.map((one) => one.name()), ...options, '--help'];
  const own: [string, readonly string[]] = [path.join(' '), words];
  return new Map([own, ...command.commands.flatMap((one) => [...wordsOf(one, [...path, one.name()])])]);
}

type Words = ReadonlyMap<string, readonly string[]>;

const cases = (words: Words) =>
  [...words].map(([path, after]) => `    '${path}') words='${after.join(' ')}' ;;`).join('\n');

const bash = (words: Words) => `_hangup() {
  local path='' word words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    [[ $word == -* ]] || path="\${path:+$path }$word"
  done
  case $path in
${cases(words)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _hangup hangup`;

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (words: Words) => string>> = {
  bash,
  zsh: (words) => `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`,
  fish: (words) =>
    [...words]
      .flatMap(([path, after]) =>
        after.map((word) => {
          const isHere =
            path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`;
          const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
          return `complete -c hangup -f -n '${isHere}' ${what}`;
        }),
      )
      .join('\n'),
};
