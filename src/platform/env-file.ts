/** The contents of a `.env` file. Warnings and problems contain line numbers, and never a value. */
export interface EnvFile {
  readonly values: Readonly<Record<string, string>>;
  /** The number of the last line that sets a name, by name. */
  readonly lines: ReadonlyMap<string, number>;
  /** Lines without effect. */
  readonly warnings: readonly string[];
  /** Settings whose syntax is ambiguous. */
  readonly problems: readonly string[];
}

const SETTING = /^(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*)$/;
const QUOTED = /^(["'`])(.*?)\1(.*)$/s;

/**
 * Parses lines of `NAME=value`, optionally with `export` and quotes. Returns null for bytes that are not UTF-8 or UTF-16.
 * Node's parseEnv silently drops other lines, cuts values at `#`, and reads the next line as an empty value.
 * @param isSetting returns whether a name belongs to hangup; values of other programs may have any syntax
 */
export function parseEnvFile(bytes: Uint8Array, isSetting: (name: string) => boolean): EnvFile | null {
  const text = decode(bytes);
  if (text === null) return null;
  const lines = text.split(/\r\n|\n|\r/);
  const values: Record<string, string> = {};
  const lineNumbers = new Map<string, number>();
  const warnings: string[] = [];
  const problems: string[] = [];
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i]?.trim() ?? '';
    const number = i + 1;
    const place = `.env line ${number}`;
    if (line === '' || line.startsWith('#')) continue;
    const [, name, raw = ''] = SETTING.exec(line) ?? [];
    if (name === undefined) {
      warnings.push(`${place}: expected NAME=value; the line has no effect`);
      continue;
    }
    let rawValue = raw;
    if (/^["'`]/.test(raw) && !QUOTED.test(raw) && !isSetting(name)) {
      // Another program's value may have several lines, such as a private key.
      const quote = raw[0] ?? '';
      const end = lines.findIndex((later, j) => j > i && later.includes(quote));
      // A quote that opens another name's value does not close this one.
      const isOpening = SETTING.exec(lines[end]?.trim() ?? '')?.[2]?.startsWith(quote) ?? false;
      if (end > 0 && !isOpening) {
        rawValue = [raw, ...lines.slice(i + 1, end + 1)].join('\n');
        i = end;
      }
    }
    const { value, problem } = parseValue(rawValue);
    if (problem !== null && isSetting(name)) problems.push(`${name}: ${problem} (${place})`);
    const earlierLine = lineNumbers.get(name);
    if (earlierLine !== undefined)
      warnings.push(`${place}: ${name} occurs twice; line ${earlierLine} has no effect`);
    values[name] = value;
    lineNumbers.set(name, number);
  }
  return { values, lines: lineNumbers, warnings, problems };
}

function parseValue(raw: string): { value: string; problem: string | null } {
  const [, quote, inside = '', rest = ''] = QUOTED.exec(raw) ?? [];
  if (quote !== undefined) {
    const isRestEmpty = /^\s*(#.*)?$/.test(rest);
    const value = quote === '"' ? inside.replaceAll('\\n', '\n') : inside;
    const problem = isRestEmpty
      ? variableProblem(quote === "'" ? '' : inside)
      : 'expected nothing after the closing quote';
    return { value, problem };
  }
  const value = raw.replace(/(^|\s)#.*$/, '').trim();
  if (/^["'`]/.test(value)) return { value, problem: 'expected a closing quote on the same line' };
  if (value.includes('#')) return { value, problem: 'expected quotes around a value that contains #' };
  return { value, problem: variableProblem(value) };
}

function variableProblem(text: string): string | null {
  return /\$\{\w+\}|\$\(/.test(text)
    ? 'expected a literal value, because variables are not expanded (single quotes keep a $)'
    : null;
}

function decode(bytes: Uint8Array): string | null {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? 'utf-16le' : first === 0xfe && second === 0xff ? 'utf-16be' : 'utf-8';
  try {
    // TextDecoder removes the byte order mark.
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return text.includes('\0') ? null : text;
  } catch {
    return null;
  }
}
