/** A part of a JSON text that JSON.parse changes. */
export interface JsonProblem {
  /** Names and indexes from the root. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

interface Container {
  /** Names so far; null for an array. */
  readonly names: Set<string> | null;
  position: string | number;
  isNameNext: boolean;
}

/** Strings, numbers and punctuation. Literals and `:` need no check. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[[\]{},]/g;

/**
 * Yields the parts that JSON.parse changes without an error, in the order of the text: numbers that a double cannot
 * represent, duplicate names, and halves of surrogate pairs.
 * @param text must be valid JSON
 */
export function* findJsonProblems(text: string): Generator<JsonProblem> {
  const stack: Container[] = [];
  const path = (depth = stack.length) => stack.slice(0, depth).map(({ position }) => position);
  for (const [token] of text.matchAll(TOKEN)) {
    const top = stack.at(-1);
    switch (token[0]) {
      case '{':
        stack.push({ names: new Set(), position: '', isNameNext: true });
        break;
      case '[':
        stack.push({ names: null, position: 0, isNameNext: false });
        break;
      case '}':
      case ']':
        stack.pop();
        break;
      case ',':
        if (top?.names === null) top.position = Number(top.position) + 1;
        else if (top !== undefined) top.isNameNext = true;
        break;
      case '"': {
        const string: string = token.includes('\\') ? JSON.parse(token) : token.slice(1, -1);
        if (top?.isNameNext && top.names !== null) {
          const message = nameProblem(string, top.names);
          if (message !== null) yield { path: path(stack.length - 1), message };
          top.names.add(string);
          top.position = string;
          top.isNameNext = false;
        } else if (!string.isWellFormed()) yield { path: path(), message: HALF_SURROGATE_PAIR };
        break;
      }
      default:
        if (!isExact(token)) {
          yield {
            path: path(),
            message: 'cannot be represented exactly as a double; send the number as a string',
          };
        }
    }
  }
}

const HALF_SURROGATE_PAIR = 'must not contain half of a surrogate pair';

function nameProblem(name: string, earlier: ReadonlySet<string>): string | null {
  if (!name.isWellFormed()) return `a name ${HALF_SURROGATE_PAIR}`;
  return earlier.has(name) ? `Duplicate key: ${JSON.stringify(name.slice(0, 64))}` : null;
}

/** Longer than the largest double written in full. Comparing a longer number would only cost time. */
const MAX_NUMBER_LENGTH = 400;

/** Returns whether a double represents the number exactly. */
function isExact(source: string): boolean {
  if (source.length > MAX_NUMBER_LENGTH) return false;
  const value = Number(source);
  // JSON.stringify writes -0 as 0.
  if (!Number.isFinite(value) || Object.is(value, -0)) return false;
  return normalizeDecimal(source) === normalizeDecimal(String(value));
}

/** Returns one spelling for all decimals of one value: `15e2` for `1.50e3` and `1500`. */
function normalizeDecimal(source: string): string {
  const [, sign = '', integer = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(source) ?? [];
  const digits = (integer + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const shift = digits.length - significant.length - fraction.length;
  return `${sign}${significant}e${BigInt(exponent) + BigInt(shift)}`;
}
