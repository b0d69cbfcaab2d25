import { type QueryClient, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useLayoutEffect, useRef } from 'react';
import { takeLinkKey } from '../sign-in/link-key.ts';
import { texts } from '../texts.ts';
import { SessionError, statusOf } from './errors.ts';
import { reloadMatching, reloadQueries } from './reload.ts';
import { CONSOLE_HEADERS, inTime, type Outputs, setShownKey, trpc } from './trpc.ts';

export type Session = Outputs['apiKeys']['current'];
export type Scope = Session['scopes'][number];

const SESSION_URL = '/console/session';
export const SESSION = ['session'] as const;
/** While hangup does not respond, the page that is not signed in yet tries again. */
const RETRY_INTERVAL_MS = 5_000;

/** The tabs of a browser have one cookie, so a sign-in in one of them concerns all. */
const otherTabs = new BroadcastChannel('hangup-session');
const notifyOtherTabs = () => otherTabs.postMessage(null);

const SessionContext = createContext<Session | null>(null);

/** The key of a sign-in link, until hangup has answered. */
let linkKey: string | null = null;

/** Loads the API key of the session, after a sign-in by the key of a link. Status 401: the reader must sign in. */
export function useSessionQuery() {
  return useQuery({
    queryKey: SESSION,
    queryFn: async ({ client, signal }) => {
      linkKey = takeLinkKey() ?? linkKey;
      if (linkKey !== null) await signInByLink(linkKey);
      const session = await trpc.apiKeys.current.query(undefined, inTime(signal));
      forgetOtherOrganization(client, session);
      return session;
    },
    staleTime: Number.POSITIVE_INFINITY,
    refetchInterval: ({ state: { data, error } }) =>
      data === undefined && error !== null && statusOf(error) !== 401 ? RETRY_INTERVAL_MS : false,
  });
}

async function signInByLink(key: string): Promise<void> {
  try {
    await signIn(key);
    linkKey = null;
  } catch (error) {
    // Without a response the next attempt needs the key again.
    if (error instanceof SessionError) linkKey = null;
    throw error;
  }
}

/** Gives the session to the pages. They load their data again after a sign-in by another key of the organization. */
export function SessionProvider({ session, children }: { session: Session; children: ReactNode }) {
  const queryClient = useQueryClient();
  const { id } = session;
  const loadedFor = useRef(id);
  // Not earlier: until this commit, the page shows the former session.
  useLayoutEffect(() => setShownKey(id), [id]);
  useEffect(() => {
    if (loadedFor.current === id) return;
    loadedFor.current = id;
    void reloadMatching(queryClient, { predicate: isOtherQuery });
  }, [id, queryClient]);
  return <SessionContext value={session}>{children}</SessionContext>;
}

/** Returns the API key of the session. Only pages inside the shell may use it. */
export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('useSession is used outside SessionProvider');
  return session;
}

/**
 * Returns a function that throws if another tab has signed in to another organization since the action began. An action of
 * several requests calls it before each of them, because the tabs share the cookie.
 */
export function useSameOrganization(): () => void {
  const queryClient = useQueryClient();
  const { organizationId } = useSession();
  return () => {
    if (queryClient.getQueryData<Session>(SESSION)?.organizationId !== organizationId)
      throw new SessionError(401, texts.errors.signedOut);
  };
}

/** Returns whether the key has a scope. */
export function useScope(scope: Scope): boolean {
  return useSession().scopes.includes(scope);
}

/** Exchanges an API key for a session cookie. @throws SessionError */
async function signIn(apiKey: string): Promise<void> {
  const response = await fetch(SESSION_URL, {
    method: 'POST',
    headers: { ...CONSOLE_HEADERS, 'content-type': 'application/json' },
    body: JSON.stringify({ apiKey }),
    ...inTime(),
  });
  if (!response.ok) throw new SessionError(response.status, await readMessage(response));
  notifyOtherTabs();
}

async function readMessage(response: Response): Promise<string> {
  try {
    const body: { error?: { message?: string } } = await response.json();
    return body.error?.message ?? response.statusText;
  } catch {
    return response.statusText;
  }
}

const isOtherQuery = ({ queryKey }: { queryKey: readonly unknown[] }) => queryKey[0] !== SESSION[0];

/** Removes what was loaded for another organization. Call this before the session is that of the new one. */
function forgetOtherOrganization(queryClient: QueryClient, session: Session): void {
  const before = queryClient.getQueryData<Session>(SESSION);
  if (before?.organizationId !== session.organizationId) {
    queryClient.removeQueries({ predicate: isOtherQuery });
  }
}

/** Signs in by an API key. Pages of an ended session of the same organization stay, and load their data again. */
export function useSignIn() {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async (apiKey: string) => {
      await signIn(apiKey);
      try {
        return await trpc.apiKeys.current.query(undefined, inTime());
      } catch (error) {
        throw statusOf(error) === 401 ? new SessionError(0, texts.signIn.noCookie) : error;
      }
    },
    onSuccess: (session) => {
      forgetOtherOrganization(queryClient, session);
      setShownKey(session.id);
      queryClient.setQueryData<Session>(SESSION, session);
      void reloadMatching(queryClient, { predicate: isOtherQuery });
    },
  });
}

/** Ends the session. */
export function useSignOut() {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async () => {
      const response = await fetch(SESSION_URL, { method: 'DELETE', headers: CONSOLE_HEADERS, ...inTime() });
      if (!response.ok) throw new SessionError(response.status, await readMessage(response));
      notifyOtherTabs();
    },
    onSuccess: async () => {
      await queryClient.resetQueries({ queryKey: SESSION });
      queryClient.removeQueries({ predicate: isOtherQuery });
    },
  });
}

/** Loads the session again after a sign-in or a sign-out in another tab. */
export function useOtherTabs(): void {
  const checkSession = useSessionCheck();
  useEffect(() => {
    otherTabs.onmessage = checkSession;
    return () => {
      otherTabs.onmessage = null;
    };
  }, [checkSession]);
}

/** Returns a function that loads the session again: it may have ended. */
export function useSessionCheck(): () => void {
  const queryClient = useQueryClient();
  return () => void reloadQueries(queryClient, SESSION);
}
