import { texts } from '../texts.ts';
import { Badge } from '../ui/badge.tsx';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { Definition } from '../ui/definition-list.tsx';
import { Ago, Time } from '../ui/time.tsx';
import type { KeyState } from './key-state.ts';
import type { ApiKey } from './revoke-key-dialog.tsx';

const TONES = { active: 'success', expired: 'neutral', revoked: 'danger' } as const;

/** One API key: its name, scopes and times, and the button that revokes it. */
export function KeyRow({
  apiKey,
  state,
  now,
  onRevoke,
}: {
  apiKey: ApiKey;
  state: KeyState;
  now: number;
  onRevoke: () => void;
}) {
  const { id, name, scopes, createdAt, lastUsedAt, expiresAt, revokedAt, isCurrent } = apiKey;
  const isActive = state === 'active';
  return (
    <li className="grid gap-x-6 gap-y-2 px-4 py-3 md:grid-cols-[minmax(0,1fr)_minmax(0,1fr)_auto] md:items-center">
      <div className="min-w-0">
        <div className="flex flex-wrap items-center gap-2">
          <h3 className={classNames('min-w-0 font-medium break-words', !isActive && 'text-muted')}>{name}</h3>
          <Badge tone={TONES[state]}>{texts.keys.states[state]}</Badge>
          {isCurrent && <Badge tone="accent">{texts.keys.current}</Badge>}
        </div>
        <p className="font-mono text-xs break-all text-muted">{id}</p>
        <ul aria-label={texts.keys.scopes} className="mt-1.5 flex flex-wrap gap-1">
          {scopes.map((scope) => (
            <li key={scope}>
              <Badge>{scope}</Badge>
            </li>
          ))}
        </ul>
      </div>
      <dl className="grid grid-cols-[auto_1fr] gap-x-3 text-sm">
        <Definition name={texts.keys.created}>
          <Time iso={createdAt} />
        </Definition>
        <Definition name={texts.keys.lastUsed}>
          {lastUsedAt === null ? texts.keys.never : <LastUse iso={lastUsedAt} now={now} />}
        </Definition>
        {revokedAt === null ? (
          <Definition name={texts.keys.expires}>
            {expiresAt === null ? texts.keys.never : <Time iso={expiresAt} />}
          </Definition>
        ) : (
          <Definition name={texts.keys.revokedAt}>
            <Time iso={revokedAt} />
          </Definition>
        )}
      </dl>
      <div className="md:w-24 md:text-right">
        {state !== 'revoked' && (
          <Button onClick={onRevoke} aria-label={texts.keys.revokeName(name)}>
            {texts.keys.revoke}
          </Button>
        )}
      </div>
    </li>
  );
}

const MINUTE_MS = 60_000;

/** hangup records the use of a key once a minute. */
function LastUse({ iso, now }: { iso: string; now: number }) {
  return now - Date.parse(iso) < MINUTE_MS ? texts.keys.justNow : <Ago iso={iso} now={now} />;
}
