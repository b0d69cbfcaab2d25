import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { isRetryable, SessionError, statusOf } from './api/errors.ts';
import { reloadQueries } from './api/reload.ts';
import { SESSION } from './api/session.tsx';
import { App } from './app.tsx';
import { AppErrorBoundary } from './shell/error-boundary.tsx';
import './styles.css';

/** Loads the session again after a 401, so that the sign-in page follows when the session has ended. */
function checkSession(error: unknown): void {
  const isAnswerOfSession =
    error instanceof SessionError || queryClient.getQueryState(SESSION)?.error === error;
  if (statusOf(error) === 401 && !isAnswerOfSession) void reloadQueries(queryClient, SESSION);
}

const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: checkSession }),
  mutationCache: new MutationCache({ onError: checkSession }),
  defaultOptions: {
    queries: {
      // hangup can be reachable without the internet, whose state the browser reports.
      networkMode: 'always',
      // The event stream invalidates what has changed.
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => failures < 2 && isRetryable(error),
    },
    mutations: { networkMode: 'always', retry: false },
  },
});

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no element with the id root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <AppErrorBoundary>
        <App />
      </AppErrorBoundary>
    </QueryClientProvider>
  </StrictMode>,
);
