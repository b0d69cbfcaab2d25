import { useMutation, useQueryClient } from '@tanstack/react-query';
import { reloadQueries } from '../api/reload.ts';
import { useSignOut } from '../api/session.tsx';
import { inTime, type Outputs, trpc } from '../api/trpc.ts';
import { texts } from '../texts.ts';
import { ConfirmDialog } from './confirm-dialog.tsx';
import { API_KEYS } from './queries.ts';

export type ApiKey = Outputs['apiKeys']['list']['apiKeys'][number];

/** Requires a confirmation before a key is revoked. The key of the session also signs out. */
export function RevokeKeyDialog({
  apiKey: { id, name, isCurrent },
  onClose,
}: {
  apiKey: ApiKey;
  onClose: () => void;
}) {
  const queryClient = useQueryClient();
  const { mutate: signOut } = useSignOut();
  const { mutate, error, isPending } = useMutation({
    mutationFn: () => trpc.apiKeys.revoke.mutate({ keyId: id }, inTime()),
    onSuccess: async () => {
      if (isCurrent) signOut();
      else await reloadQueries(queryClient, API_KEYS.queryKey);
    },
  });
  return (
    <ConfirmDialog
      title={texts.keys.revokeTitle(name)}
      text={isCurrent ? texts.keys.revokeCurrentText : texts.keys.revokeText}
      confirm={isCurrent ? texts.keys.revokeAndSignOut : texts.keys.revokeKey}
      error={error}
      isBusy={isPending}
      // Not for a closed dialog: a late response would close the dialog of another key.
      onConfirm={() => mutate(undefined, { onSuccess: () => !isCurrent && onClose() })}
      onClose={onClose}
    />
  );
}
