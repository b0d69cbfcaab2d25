import { Argument, type Command } from 'commander';
import { print } from '../output.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `hangup completion`: a script for the shell, out of the commands themselves. */
export function addCompletion(hangup: Command): void {
  hangup
    .command('completion')
    .description('print what makes your shell complete hangup: source <(hangup completion bash)')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => print(SCRIPTS[shell](placesIn(hangup))));
}

interface Word {
  readonly text: string;
  readonly meaning: string;
  /** What may follow an option; null when it takes no value. */
  readonly values: readonly string[] | null;
}

/** Where a command line can be: behind the words `path`, '' behind hangup itself. */
interface Place {
  readonly path: string;
  readonly words: readonly Word[];
  readonly takesFile: boolean;
}

function placesIn(command: Command, path: readonly string[] = []): readonly Place[] {
  const word = (text: string, meaning = '', values: readonly string[] | null = null) => ({
    text,
    meaning,
    values,
  });
  const words = [
    ...command.commands.map((one) => word(one.name(), one.description())),
    ...command.registeredArguments.flatMap(({ argChoices = [] }) => argChoices.map((choice) => word(choice))),
    ...command.options.map(({ long, short, description, argChoices, required, optional }) =>
      word(long ?? short ?? '', description, required || optional ? (argChoices ?? []) : null),
    ),
    word('--help', 'say what it does'),
  ];
  const takesFile = command.registeredArguments.some((argument) => argument.name() === 'file');
  const here = { path: path.join(' '), words, takesFile };
  return [here, ...command.commands.flatMap((one) => placesIn(one, [...path, one.name()]))];
}

type Places = readonly Place[];

/** For bash and zsh: `at` is the path of the place, of the words before the cursor. */
const WALK = `"\${at:+$at }$word"`;
const paths = (places: Places) => places.flatMap(({ path }) => (path === '' ? [] : [`'${path}'`])).join('|');
const cases = (places: Places) =>
  places
    .flatMap(({ path, words, takesFile }) => [
      ...words.flatMap(({ text, values }) =>
        values === null ? [] : [`    '${path}:${text}') after='${values.join(' ')}' ;;`],
      ),
      `    '${path}:'*) ${takesFile ? '[[ $now != -* ]] || ' : ''}after='${words.map(({ text }) => text).join(' ')}' ;;`,
    ])
    .join('\n');

const bash = (places: Places) => `_hangup() {
  local at='' after='' word now="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case ${WALK} in
      ${paths(places)}) at=${WALK} ;;
    esac
  done
  case "$at:\${COMP_WORDS[COMP_CWORD-1]}" in
${cases(places)}
  esac
  COMPREPLY=($(compgen -W "$after" -- "$now"))
}
complete -o default -F _hangup hangup`;

const zsh = (places: Places) => `#compdef hangup
_hangup() {
  local at='' after='' word now="\${words[CURRENT]}"
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case ${WALK} in
      ${paths(places)}) at=${WALK} ;;
    esac
  done
  case "$at:\${words[CURRENT-1]}" in
${cases(places)}
  esac
  compadd -- \${=after} || _files
}
if [[ $funcstack[1] = _hangup ]]; then
  _hangup "$@"
else
  (( $+functions[compdef] )) || { autoload -U compinit && compinit }
  compdef _hangup hangup
fi`;

function fish(places: Places): string {
  const quote = (text: string) => `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
  const at = (path: string) => path && ` ${path}`;
  const lines = places.flatMap(({ path, words, takesFile }) => {
    const here = `complete -c hangup -n "__hangup_is_at ${quote(at(path))}"`;
    return [
      ...(takesFile ? [`${here} -F`] : []),
      ...words.map(({ text, meaning, values }) => {
        const what = text.startsWith('--') ? `-l ${text.slice(2)}` : `-a ${text}`;
        const takes = values === null ? '' : ` -x -a ${quote(values.join(' '))}`;
        return `${here} ${what}${takes} -d ${quote(meaning)}`;
      }),
    ];
  });
  return `function __hangup_is_at
  set -l at
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case ${places.map(({ path }) => quote(at(path))).join(' ')}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
complete -c hangup -f
${lines.join('\n')}`;
}

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], (places: Places) => string>> = { bash, zsh, fish };
