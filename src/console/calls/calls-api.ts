import { inTime, trpc } from '../api/trpc.ts';
import { toInstant } from '../ui/filter-time.ts';
import type { CallPage, CallSource } from './call-source.ts';
import { BOUNDS, type CallFilter, toListInput } from './filter.ts';

const PAGE_SIZE = 100;
export const MIN_SEARCH_LENGTH = 3;

/** hangup refuses a shorter text. It counts characters, not halves of surrogate pairs. */
export const isTooShort = (text: string): boolean => [...text.trim()].length < MIN_SEARCH_LENGTH;

/** Returns the source of the filter's calls: a search, or a list. */
export function sourceOf(filter: CallFilter): CallSource {
  return filter.text === '' ? listSource(filter) : searchSource(filter.text);
}

function searchSource(text: string): CallSource {
  return {
    async readPage(_cursor, signal) {
      if (isTooShort(text)) return { calls: [], nextCursor: null, total: 0, isTotalCapped: false };
      const { calls } = await trpc.calls.search.query({ text, limit: PAGE_SIZE }, inTime(signal));
      return { calls, nextCursor: null, total: calls.length, isTotalCapped: calls.length === PAGE_SIZE };
    },
    readPeriod: null,
  };
}

function listSource(filter: CallFilter): CallSource {
  const read = async (
    fields: { cursor?: string; startDate?: string; endDate?: string },
    signal: AbortSignal,
  ): Promise<CallPage> => {
    const { calls, pagination } = await trpc.calls.list.query(
      { ...toListInput(filter), limit: PAGE_SIZE, include: ['room'], ...fields },
      inTime(signal),
    );
    const { nextCursor, total, totalCapped: isTotalCapped } = pagination;
    return { calls, nextCursor, total, isTotalCapped };
  };
  return {
    readPage: (cursor, signal) => read(cursor === null ? {} : { cursor }, signal),
    readPeriod: async (from, to, signal) => {
      const period = narrow(filter, from, to);
      return (await read(period, signal)).calls;
    },
  };
}

/** Returns the part of the period that the filter includes. */
function narrow({ startDate, endDate }: CallFilter, from: string, to: string) {
  const start = startDate === null ? null : toInstant(startDate, BOUNDS.startDate).toISOString();
  const end = endDate === null ? null : toInstant(endDate, BOUNDS.endDate).toISOString();
  return {
    startDate: start !== null && start > from ? start : from,
    endDate: end !== null && end < to ? end : to,
  };
}
