/*
 * TanStack Query's infinite queries overwrite two inputs: `cursor` (null for the first page) and `direction` (the end
 * at which TanStack Query adds the page). The cursor alone selects a page, so hangup ignores this `direction`.
 * REST accepts neither: see `rest.input` in trpc.ts.
 */
export type PageDirection = 'forward' | 'backward';

/** A procedure's input as an infinite query may send it. */
export type InfiniteQueryInput<Input> = Omit<Input, 'cursor' | 'direction'> & {
  cursor?: string | null | undefined;
  direction?: PageDirection | undefined;
};

/** Whether an input is a JSON object: zod passes any value to a transform. */
export function isObject(input: unknown): boolean {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}

/** Returns the input without a null cursor and without a page direction. */
export function withoutPaging<Input extends { cursor?: unknown; direction?: unknown }>(input: Input) {
  const { cursor, direction, ...others } = input;
  return {
    ...others,
    ...(cursor !== null && cursor !== undefined && { cursor }),
    ...(direction !== 'forward' && direction !== 'backward' && direction !== undefined && { direction }),
  };
}
