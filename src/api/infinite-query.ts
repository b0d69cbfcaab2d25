import { z } from 'zod';
import { DIRECTIONS, type Direction } from '../domain/call.ts';
import { CallEventsInput, ListCallsInput } from './schemas.ts';

/*
 * TanStack Query's infinite queries write two inputs of their own over those of the caller: `cursor` (null for the first
 * page) and `direction` (the end of its pages at which it adds this one). The cursor alone names a page, so `direction`
 * changes no answer. It would replace calls.list's filter of that name, which is therefore `callDirection` too.
 * REST takes none of this: see `rest.input` in trpc.ts.
 */
type PageDirection = 'forward' | 'backward';
type Paged<Input> = Omit<Input, 'cursor' | 'direction'> & {
  cursor?: string | null | undefined;
  direction?: PageDirection | undefined;
};

type ListInput = Omit<Paged<z.input<typeof ListCallsInput>>, 'direction'> & {
  direction?: Direction | PageDirection | undefined;
  /** Filters as `direction` does. Infinite queries need it. */
  callDirection?: Direction | undefined;
};

export const InfiniteListCallsInput = z
  .transform((input: ListInput, context) => {
    if (!isObject(input)) return input;
    const { callDirection, ...others } = withoutPaging(input);
    if (callDirection === undefined) return others;
    const refuse = (message: string) => {
      context.issues.push({ code: 'custom', path: ['callDirection'], message, input });
      return z.NEVER;
    };
    if (!DIRECTIONS.includes(callDirection)) return refuse(`expected one of ${DIRECTIONS.join(', ')}`);
    const isOther = 'direction' in others && others.direction !== callDirection;
    return isOther
      ? refuse('cannot be combined with another direction')
      : { ...others, direction: callDirection };
  })
  .pipe(ListCallsInput);

export const InfiniteCallEventsInput = z
  .transform((input: Paged<z.input<typeof CallEventsInput>>) =>
    isObject(input) ? withoutPaging(input) : input,
  )
  .pipe(CallEventsInput);

/** zod hands over whatever was sent. */
function isObject(input: unknown): boolean {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}

function withoutPaging<Input extends { cursor?: unknown; direction?: unknown }>(input: Input) {
  const { cursor, direction, ...others } = input;
  return {
    ...others,
    ...(cursor !== null && cursor !== undefined && { cursor }),
    ...(direction !== 'forward' && direction !== 'backward' && direction !== undefined && { direction }),
  };
}
