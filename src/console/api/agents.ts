import { queryOptions, useQuery } from '@tanstack/react-query';
import { useOnEvent } from './live-events.tsx';
import { useReload } from './reload.ts';
import { useScope } from './session.tsx';
import { inTime, trpc } from './trpc.ts';

const RELOAD_MS = 5_000;

export interface Agent {
  readonly id: string;
  readonly name: string | null;
  readonly liveCalls: number;
}

const AGENTS = queryOptions({
  queryKey: ['agents'],
  queryFn: async ({ signal }): Promise<readonly Agent[]> => {
    const { agents } = await trpc.agents.list.query(undefined, inTime(signal));
    // No filter selects the calls without an agent.
    return agents.flatMap(({ id, ...agent }) => (id === null ? [] : [{ id, ...agent }]));
  },
});

/** Loads the agents of live calls, those with the most calls first. */
export function useAgents() {
  return useQuery({ ...AGENTS, enabled: useScope('calls:read') });
}

/** Loads the agents of live calls, and loads them again while calls start and end. */
export function useLiveAgents() {
  const reload = useReload([AGENTS.queryKey], RELOAD_MS);
  useOnEvent(({ type }) => {
    if (type !== 'cancellation.progress' && type !== 'hold.lifted' && type !== 'call.room_deletion') reload();
  });
  return useAgents();
}
