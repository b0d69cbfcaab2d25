/** Why a JSON text does not survive JSON.parse unchanged, and where: names and indexes from its root. */
export interface JsonProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

interface Container {
  /** Names seen so far; null for an array. */
  readonly names: Set<string> | null;
  at: string | number;
  isNameNext: boolean;
}

/** Strings, numbers and punctuation. The literals and `:` hold nothing that can be lost. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[[\]{},]/g;

/**
 * What JSON.parse would change without an error, in the order of the text: numbers that a double does not hold,
 * the earlier of two equal names, and halves of surrogate pairs.
 * @param text must be valid JSON
 */
export function* findJsonProblems(text: string): Generator<JsonProblem> {
  const stack: Container[] = [];
  const path = (depth = stack.length) => stack.slice(0, depth).map(({ at }) => at);
  for (const [token] of text.matchAll(TOKEN)) {
    const top = stack.at(-1);
    switch (token[0]) {
      case '{':
        stack.push({ names: new Set(), at: '', isNameNext: true });
        break;
      case '[':
        stack.push({ names: null, at: 0, isNameNext: false });
        break;
      case '}':
      case ']':
        stack.pop();
        break;
      case ',':
        if (top?.names === null) top.at = Number(top.at) + 1;
        else if (top !== undefined) top.isNameNext = true;
        break;
      case '"': {
        const string: string = token.includes('\\') ? JSON.parse(token) : token.slice(1, -1);
        if (top?.isNameNext && top.names !== null) {
          const message = problemOfName(string, top.names);
          if (message !== null) yield { path: path(stack.length - 1), message };
          top.names.add(string);
          top.at = string;
          top.isNameNext = false;
        } else if (!string.isWellFormed()) yield { path: path(), message: HALF_A_PAIR };
        break;
      }
      default:
        if (!isKept(token)) {
          yield { path: path(), message: 'is not kept exactly by a double; send this number as a string' };
        }
    }
  }
}

const HALF_A_PAIR = 'must not contain half of a surrogate pair';

function problemOfName(name: string, earlier: ReadonlySet<string>): string | null {
  if (!name.isWellFormed()) return `a name ${HALF_A_PAIR}`;
  return earlier.has(name) ? `Duplicate key: ${JSON.stringify(name.slice(0, 64))}` : null;
}

/** Longer than the largest double in full. A longer number would only cost time. */
const MAX_NUMBER_LENGTH = 400;

/** Whether a number comes back with the value that its digits have. */
function isKept(source: string): boolean {
  if (source.length > MAX_NUMBER_LENGTH) return false;
  const value = Number(source);
  // JSON.stringify writes -0 as 0.
  if (!Number.isFinite(value) || Object.is(value, -0)) return false;
  return decimal(source) === decimal(String(value));
}

/** One spelling for all decimals of one value: `1.50e3` and `1500` are `15e2`. */
function decimal(source: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(source) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  const shift = digits.length - significant.length - fraction.length;
  return `${sign}${significant}e${BigInt(exponent) + BigInt(shift)}`;
}
