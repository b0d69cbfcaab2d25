import { queryOptions } from '@tanstack/react-query';
import { inTime, trpc } from '../api/trpc.ts';

export const API_KEYS = queryOptions({
  queryKey: ['apiKeys'],
  queryFn: ({ signal }) => trpc.apiKeys.list.query(undefined, inTime(signal)),
});
export const ADOPTION_PREFIXES = ['adoptionPrefixes'] as const;
