/** The health has no events: it is loaded every 10 s while the tab is visible, and when it becomes visible. */
export const REFRESH = {
  refetchInterval: 10_000,
  refetchOnWindowFocus: true,
  staleTime: 0,
} as const;
