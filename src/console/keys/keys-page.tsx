import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type Scope, useScope } from '../api/session.tsx';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { GetScope } from '../ui/get-scope.tsx';
import { EmptyState, ErrorMessage, Loading } from '../ui/messages.tsx';
import { Card, Page } from '../ui/page.tsx';
import { useNow } from '../ui/time.tsx';
import { AdoptionPrefixes } from './adoption-prefixes.tsx';
import { CreateKeyDialog } from './create-key-dialog.tsx';
import { KeyRow } from './key-row.tsx';
import { keyStateOf } from './key-state.ts';
import { API_KEYS } from './queries.ts';
import { type ApiKey, RevokeKeyDialog } from './revoke-key-dialog.tsx';

const SCOPES: readonly Scope[] = ['calls:read', 'calls:write', 'calls:cancel', 'calls:stop', 'admin'];

/** The API keys and adoption prefixes of the organization. */
export function KeysPage() {
  return useScope('admin') ? <Keys /> : <WithoutScope />;
}

function WithoutScope() {
  return (
    <Page title={texts.navigation.keys}>
      <Card>
        <EmptyState title={texts.errors.missingScope('admin')}>
          <div className="flex flex-col gap-3">
            <GetScope name="console" scopes={SCOPES} />
          </div>
        </EmptyState>
      </Card>
    </Page>
  );
}

function Keys() {
  const [isCreating, setCreating] = useState(false);
  const create = (
    <Button kind="primary" onClick={() => setCreating(true)}>
      {texts.keys.create}
    </Button>
  );
  return (
    <Page title={texts.navigation.keys} actions={create}>
      <KeyList />
      <AdoptionPrefixes />
      {isCreating && <CreateKeyDialog onClose={() => setCreating(false)} />}
    </Page>
  );
}

function KeyList() {
  const { data, error, refetch } = useQuery(API_KEYS);
  const [isInactiveShown, setInactiveShown] = useState(false);
  const [revoked, setRevoked] = useState<ApiKey | null>(null);
  const now = useNow();

  const keys = data?.apiKeys.map((key) => ({ key, state: keyStateOf(key, now) }));
  const inactive = keys?.filter(({ state }) => state !== 'active').length ?? 0;
  const shown = keys?.filter(({ state }) => state === 'active' || isInactiveShown);
  return (
    <Card
      title={texts.keys.title}
      actions={
        inactive > 0 && (
          <label className="flex items-center gap-2 text-sm">
            <input
              type="checkbox"
              checked={isInactiveShown}
              onChange={(event) => setInactiveShown(event.target.checked)}
            />
            {texts.keys.showInactive(inactive)}
          </label>
        )
      }
    >
      {error !== null && <ErrorMessage error={error} onRetry={() => void refetch()} />}
      {shown === undefined && error === null && <Loading />}
      {shown !== undefined && (
        <ul className="-mx-4 -mb-4 divide-y divide-line border-t border-line">
          {shown.map(({ key, state }) => (
            <KeyRow key={key.id} apiKey={key} state={state} now={now} onRevoke={() => setRevoked(key)} />
          ))}
        </ul>
      )}
      {revoked !== null && <RevokeKeyDialog apiKey={revoked} onClose={() => setRevoked(null)} />}
    </Card>
  );
}
