import { type ReactNode, Suspense, useEffect } from 'react';
import { Link, Redirect, Route, Router, Switch, useLocation } from 'wouter';
import { statusOf } from './api/errors.ts';
import { LateErrorsProvider } from './api/late-errors.tsx';
import { LiveEventsProvider } from './api/live-events.tsx';
import {
  type Session,
  SessionProvider,
  useOtherTabs,
  useSessionCheck,
  useSessionQuery,
} from './api/session.tsx';
import { CallsPage } from './calls/calls-page.tsx';
import { PageErrorBoundary } from './shell/error-boundary.tsx';
import { lazyPage } from './shell/lazy-page.ts';
import { Shell } from './shell/shell.tsx';
import { hasLinkKey } from './sign-in/link-key.ts';
import { SessionEnded, SignInPage } from './sign-in/sign-in-page.tsx';
import { texts } from './texts.ts';
import { buttonClass } from './ui/button.tsx';
import { EmptyState, ErrorMessage, Loading } from './ui/messages.tsx';
import { Page } from './ui/page.tsx';

// The first load has the page that the reader opens first. The browser loads the others when it is idle.
const StopPage = lazyPage(async () => (await import('./stop/stop-page.tsx')).StopPage);
const CancellationPage = lazyPage(
  async () => (await import('./stop/cancellation-page.tsx')).CancellationPage,
);
const CallPage = lazyPage(async () => (await import('./calls/call-page.tsx')).CallPage);
const HealthPage = lazyPage(async () => (await import('./health/health-page.tsx')).HealthPage);
const KeysPage = lazyPage(async () => (await import('./keys/keys-page.tsx')).KeysPage);

export function App() {
  const { data: session, error, refetch } = useSessionQuery();
  useLinkInOpenPage(refetch);
  useOtherTabs();
  const isSignedOut = statusOf(error) === 401;
  if (session !== undefined) {
    return (
      <>
        {/* Keeps what the reader has typed, and hides everything that the ended session may no longer show. */}
        <div className={isSignedOut ? 'invisible' : 'contents'}>
          <SignedIn key={session.organizationId} session={session} isEnded={isSignedOut} />
        </div>
        {isSignedOut && <SessionEnded />}
      </>
    );
  }
  if (error === null) return <Loading />;
  if (isSignedOut) return <SignInPage linkError={error} />;
  return (
    <main className="mx-auto max-w-xl p-6">
      <ErrorMessage error={error} onRetry={() => void refetch()} />
    </main>
  );
}

/** Signs in by a link that the reader opens in a tab with the console. */
function useLinkInOpenPage(reload: () => unknown): void {
  useEffect(() => {
    const signIn = () => {
      if (hasLinkKey()) reload();
    };
    window.addEventListener('hashchange', signIn);
    return () => window.removeEventListener('hashchange', signIn);
  }, [reload]);
}

function SignedIn({ session, isEnded }: { session: Session; isEnded: boolean }) {
  const checkSession = useSessionCheck();
  const isEnabled = !isEnded && session.scopes.includes('calls:read');
  return (
    <SessionProvider session={session}>
      <LiveEventsProvider isEnabled={isEnabled} onEnd={checkSession}>
        <Router base="/console">
          <LateErrorsProvider>
            <Shell>
              <PageFrame>
                <Pages />
              </PageFrame>
            </Shell>
          </LateErrorsProvider>
        </Router>
      </LiveEventsProvider>
    </SessionProvider>
  );
}

/** An error of a page leaves the navigation usable, and ends with the next page. */
function PageFrame({ children }: { children: ReactNode }) {
  const [path] = useLocation();
  return (
    <PageErrorBoundary key={path}>
      <Suspense fallback={<Loading />}>{children}</Suspense>
    </PageErrorBoundary>
  );
}

function Pages() {
  return (
    <Switch>
      <Route path="/">
        <Redirect to="/calls" replace />
      </Route>
      <Route path="/sign-in">
        <Redirect to="/calls" replace />
      </Route>
      <Route path="/calls" component={CallsPage} />
      <Route path="/calls/:callId">{({ callId }) => <CallPage key={callId} callId={callId} />}</Route>
      <Route path="/stop" component={StopPage} />
      <Route path="/stop/:cancellationId">
        {({ cancellationId }) => <CancellationPage key={cancellationId} cancellationId={cancellationId} />}
      </Route>
      <Route path="/health" component={HealthPage} />
      <Route path="/keys" component={KeysPage} />
      <Route>
        <Page title={texts.errors.notFound}>
          <EmptyState title={texts.errors.notFound}>
            <Link href="/calls" className={buttonClass()}>
              {texts.errors.toCalls}
            </Link>
          </EmptyState>
        </Page>
      </Route>
    </Switch>
  );
}
