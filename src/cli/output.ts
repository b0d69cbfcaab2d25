/** A command that cannot do its work. The message contains the remedy. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, { exitCode = 1 }: { exitCode?: number } = {}) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Resolves when the text is written. @throws the write error, for example of a closed pipe or a full disk */
export function printSafely(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(`${text}\n`, (error) => (error ? reject(error) : resolve()));
  });
}

/** Prints progress and warnings to standard error, because scripts read standard output. */
export function printProgress(text: string): void {
  process.stderr.write(`hangup: ${text}\n`);
}

/** Returns the stack of an unexpected error. */
export function errorStack(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** Prints aligned columns. The first row contains the headings. */
export function printTable(rows: readonly (readonly string[])[]): void {
  print(formatTable(rows));
}

/** Returns lines with aligned columns. The first row contains the headings. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
