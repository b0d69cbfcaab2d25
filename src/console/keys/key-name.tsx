import { useQuery } from '@tanstack/react-query';
import { useScope, useSession } from '../api/session.tsx';
import { texts } from '../texts.ts';
import { ClientText } from '../ui/client-text.tsx';
import { API_KEYS } from './queries.ts';

const NAMES_STALE_MS = 5 * 60_000;

/** The API key of an action, by its id. A key with the scope admin reads the names of all keys. */
export function KeyName({ id }: { id: string }) {
  const session = useSession();
  const isOwn = id === session.id;
  const { data: otherName } = useQuery({
    ...API_KEYS,
    select: ({ apiKeys }) => apiKeys.find((key) => key.id === id)?.name,
    enabled: useScope('admin') && !isOwn,
    staleTime: NAMES_STALE_MS,
  });
  const name = isOwn ? session.name : otherName;
  return (
    <>
      <span className="font-mono text-xs">{id}</span>
      {name !== undefined && (
        <span className="text-muted">
          {' '}
          (<ClientText text={name} />
          {isOwn && `, ${texts.keys.ownKey}`})
        </span>
      )}
    </>
  );
}
