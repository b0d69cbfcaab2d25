import { createHangup, type Hangup } from '@hangup/client';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { CallsPage } from './calls-page.tsx';
import { messageOf } from './error-message.tsx';

interface Connection {
  readonly hangup: Hangup;
  readonly queryClient: QueryClient;
}

/** @throws TypeError for a wrong address or an empty key */
function connect(url: string, apiKey: string): Connection {
  return {
    hangup: createHangup({ url, apiKey, timeoutMs: 10_000 }),
    // The client of hangup repeats failed requests by itself.
    queryClient: new QueryClient({ defaultOptions: { queries: { retry: false } } }),
  };
}

/** Requests the user's own key. A key in the code of the page would be visible to each visitor. */
export function App() {
  const [connection, setConnection] = useState<Connection | null>(null);
  const [error, setError] = useState<unknown>(null);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    try {
      setConnection(connect(String(form.get('url')), String(form.get('key'))));
    } catch (wrong) {
      setError(wrong);
    }
  };

  if (connection !== null) {
    return (
      <QueryClientProvider client={connection.queryClient}>
        <CallsPage hangup={connection.hangup} />
      </QueryClientProvider>
    );
  }
  return (
    <form onSubmit={submit}>
      <label>
        Address of hangup <input name="url" defaultValue="http://127.0.0.1:8080" />
      </label>
      <label>
        API key <input name="key" type="password" autoComplete="off" />
      </label>
      <button type="submit">Connect</button>
      {error !== null && <p role="alert">{messageOf(error)}</p>}
    </form>
  );
}
