import { type Scope, useSession } from '../api/session.tsx';
import { texts } from '../texts.ts';

/** How to get a key with a scope: the command that creates one. */
export function GetScope({ name, scopes }: { name: string; scopes: readonly Scope[] }) {
  const { organization } = useSession();
  return (
    <>
      <p>{texts.errors.howToGetScope}</p>
      <pre className="max-w-full rounded-md bg-page p-3 text-left font-mono text-xs whitespace-pre-wrap">
        {texts.errors.createKeyCommand(organization, name, scopes)}
      </pre>
    </>
  );
}
