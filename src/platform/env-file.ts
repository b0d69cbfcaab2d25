/** What a file `.env` holds. Warnings and problems name the line, never the value. */
export interface EnvFile {
  readonly values: Readonly<Record<string, string>>;
  /** Names, with the number of the line that counts. */
  readonly lines: ReadonlyMap<string, number>;
  /** Given, and without effect. */
  readonly warnings: readonly string[];
  /** Settings that cannot be meant as they stand. */
  readonly problems: readonly string[];
}

const SETTING = /^(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/;
const QUOTED = /^(["'`])(.*?)\1(.*)$/s;

/**
 * Reads `NAME=value` a line, with or without `export` before it and quotes around the value. Not by Node's parseEnv, which
 * drops what it does not understand, cuts a value at `#`, and takes the next line for the value of an empty one.
 * @param isSetting whether a name is one of hangup's; the values of other programs may be of any shape
 * @returns null for what is not a text in UTF-8 or UTF-16
 */
export function parseEnvFile(bytes: Uint8Array, isSetting: (name: string) => boolean): EnvFile | null {
  const text = decode(bytes);
  if (text === null) return null;
  const lines = text.split(/\r\n|\n|\r/);
  const values: Record<string, string> = {};
  const numbers = new Map<string, number>();
  const warnings: string[] = [];
  const problems: string[] = [];
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i]?.trim() ?? '';
    const at = `.env line ${i + 1}`;
    if (line === '' || line.startsWith('#')) continue;
    const [, name, given = ''] = SETTING.exec(line) ?? [];
    if (name === undefined) {
      warnings.push(`${at}: expected NAME=value; the line has no effect`);
      continue;
    }
    let value = given;
    if (/^["'`]/.test(given) && !QUOTED.test(given) && !isSetting(name)) {
      // A value of another program may have several lines, such as a private key.
      const quote = given[0] ?? '';
      const end = lines.findIndex((later, j) => j > i && later.includes(quote));
      // A quote that opens the value of another name closes none: the names between are not this value's.
      const isOpening = SETTING.exec(lines[end]?.trim() ?? '')?.[2]?.startsWith(quote) ?? false;
      if (end > 0 && !isOpening) {
        value = [given, ...lines.slice(i + 1, end + 1)].join('\n');
        i = end;
      }
    }
    const read = readValue(value);
    if (read.problem !== null && isSetting(name)) problems.push(`${name}: ${read.problem} (${at})`);
    const before = numbers.get(name);
    if (before !== undefined) warnings.push(`${at}: ${name} is set again; line ${before} has no effect`);
    values[name] = read.value;
    numbers.set(name, Number(at.slice('.env line '.length)));
  }
  return { values, lines: numbers, warnings, problems };
}

function readValue(given: string): { value: string; problem: string | null } {
  const [, quote, inside = '', rest = ''] = QUOTED.exec(given) ?? [];
  if (quote !== undefined) {
    const isRestEmpty = /^\s*(#.*)?$/.test(rest);
    const value = quote === '"' ? inside.replaceAll('\\n', '\n') : inside;
    const problem = isRestEmpty
      ? variableIn(quote === "'" ? '' : inside)
      : 'expected nothing after the closing quote';
    return { value, problem };
  }
  const value = given.replace(/(^|\s)#.*$/, '').trim();
  if (/^["'`]/.test(value)) return { value, problem: 'expected a closing quote on the same line' };
  if (value.includes('#')) return { value, problem: 'expected quotes around a value with # in it' };
  return { value, problem: variableIn(value) };
}

function variableIn(text: string): string | null {
  return /\$\{\w+\}|\$\(/.test(text)
    ? 'expected the value itself; variables are not replaced (single quotes keep $ as it is)'
    : null;
}

function decode(bytes: Uint8Array): string | null {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  try {
    // It takes the byte order mark away.
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}
