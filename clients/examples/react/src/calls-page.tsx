import type { CallListItem, Hangup } from '@hangup/client';
import { useMutation } from '@tanstack/react-query';
import { ErrorMessage, messageOf } from './error-message.tsx';
import { StopAgent } from './stop-agent.tsx';
import { type StreamState, useLiveCalls } from './use-live-calls.ts';

export function CallsPage({ hangup }: { readonly hangup: Hangup }) {
  const { stream, error, page } = useLiveCalls(hangup);
  return (
    <main>
      <h1>Live calls</h1>
      <p role="status">{describe(stream)}</p>
      <StopAgent hangup={hangup} />
      <ErrorMessage error={error} />
      {page !== undefined && (
        <table>
          <caption>
            {page.calls.length} of {page.pagination.total} live calls
          </caption>
          <thead>
            <tr>
              <th>Call</th>
              <th>Agent</th>
              <th>Phone number</th>
              <th>Status</th>
              <th>Created</th>
              <th>Action</th>
            </tr>
          </thead>
          <tbody>
            {page.calls.map((call) => (
              <CallRow key={call.id} hangup={hangup} call={call} />
            ))}
          </tbody>
        </table>
      )}
    </main>
  );
}

function describe(stream: StreamState): string {
  switch (stream.name) {
    case 'connecting':
      return 'Connecting';
    case 'live':
      return 'Live';
    case 'offline':
      return stream.error === null ? 'Offline' : `Offline. ${messageOf(stream.error)}`;
    case 'refused':
      return `No live updates. ${messageOf(stream.error)}`;
  }
}

function CallRow({ hangup, call }: { readonly hangup: Hangup; readonly call: CallListItem }) {
  const cancel = useMutation({
    mutationFn: () => hangup.calls.cancel(call.id, { reason: 'live calls page' }),
  });
  return (
    <tr>
      <td>{call.id}</td>
      <td>{call.agent.name ?? call.agent.id}</td>
      <td>{call.phoneNumber}</td>
      <td>{call.status}</td>
      <td>{new Date(call.createdAt).toLocaleString()}</td>
      <td>
        {/* The event of the cancel removes the row. */}
        <button type="button" disabled={cancel.isPending || cancel.isSuccess} onClick={() => cancel.mutate()}>
          Cancel
        </button>
        <ErrorMessage error={cancel.error} />
      </td>
    </tr>
  );
}
