import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runHangup } from '../harness/process.ts';
import { temporaryFolder } from '../harness/temporary.ts';

const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(' ');

/** For each shell: a script that prints the completions of the last word. */
const SHELLS = {
  bash: (words: readonly string[]) => `. ./script
    COMP_WORDS=(hangup ${quoted(words)}) COMP_CWORD=${words.length}
    _hangup; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // Outside of the line editor, these functions replace zsh's own and filter by prefix as zsh does.
  zsh: (words: readonly string[]) => `compdef() {}
    compadd() { shift; (( $# )) && print -l -- "\${(@M)@:#\${words[CURRENT]}*}" }
    _files() { print -l -- * }
    . ./script
    words=(hangup ${quoted(words)}) CURRENT=${words.length + 1}
    _hangup`,
  fish: (words: readonly string[]) => `source ./script; complete -C "hangup ${words.join(' ')}"`,
} as const;

test.each(['bash', 'zsh', 'fish'] as const)(
  '%s completes commands, options and their values',
  async (shell) => {
    const cwd = temporaryFolder();
    const { code, stdout } = await runHangup(['completion', shell], { cwd });
    expect(code).toBe(0);
    writeFileSync(join(cwd, 'script'), stdout);
    function complete(...words: string[]): string[] {
      const { stdout, stderr, error } = spawnSync(shell, ['-c', SHELLS[shell](words)], {
        cwd,
        encoding: 'utf8',
      });
      expect({ error, stderr }).toEqual({ error: undefined, stderr: '' });
      const completions = stdout.split('\n').map((line) => line.split('\t')[0] ?? '');
      return completions.filter((word) => word !== '').toSorted();
    }
    expect(complete('se')).toEqual(['serve']);
    expect(complete('')).toEqual(expect.arrayContaining(['backup', 'calls', 'doctor', 'keys', 'serve']));
    expect(complete('calls', 'c')).toEqual(['cancel']);
    expect(complete('keys', '--help', 'cr')).toEqual(['create']);
    expect(complete('calls', 'list', '--s')).toEqual(['--status']);
    expect(complete('calls', 'list', '--status', 'c')).toEqual(['cancelled', 'completed', 'connecting']);
    expect(complete('completion', 'z')).toEqual(['zsh']);
    // In bash, readline completes files if the function returns nothing.
    expect(complete('restore', '')).toEqual(shell === 'bash' ? [] : ['script']);
    expect(complete('restore', '--h')).toEqual(['--help']);
    // The value of an option is not a command.
    expect(complete('keys', 'create', '--org', 'list', '--ex')).toEqual(['--expires']);
  },
);

test('completion exits with 2 for an unknown shell', async () => {
  expect(await runHangup(['completion', 'csh'], { cwd: temporaryFolder() })).toMatchObject({ code: 2 });
});
