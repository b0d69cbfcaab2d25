/** Returns a tool's arguments as the parameters of a query. */
export function toQuery(
  input: Readonly<Record<string, string | number | readonly string[] | undefined>>,
): Record<string, readonly string[] | string | undefined> {
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => [name, typeof value === 'number' ? String(value) : value]),
  );
}
