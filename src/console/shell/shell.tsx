import { type ReactNode, useState } from 'react';
import { Link, useLocation, useRoute } from 'wouter';
import { messageOf } from '../api/errors.ts';
import { useSession, useSignOut } from '../api/session.tsx';
import icon from '../icon.svg';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { classNames } from '../ui/class-names.ts';
import { ConnectionBanner } from './connection-banner.tsx';
import { HelpDialog } from './help-dialog.tsx';
import { LateErrorList } from './late-error-list.tsx';
import { useUnloadPrompt } from './unload-prompt.ts';
import { focusSearch, useShortcutSetting, useShortcuts } from './use-shortcuts.ts';

const PAGES = [
  { path: '/calls', name: texts.navigation.calls },
  { path: '/stop', name: texts.navigation.stop },
  { path: '/health', name: texts.navigation.health },
  { path: '/keys', name: texts.navigation.keys },
] as const;

/** The frame of all pages after the sign-in: navigation at the side, or at the bottom of a phone. */
export function Shell({ children }: { children: ReactNode }) {
  const [areShortcutsOn, setShortcutsOn] = useShortcutSetting();
  const [isHelpOpen, setHelpOpen] = useState(false);
  const [, navigate] = useLocation();
  const openHelp = () => setHelpOpen(true);
  useUnloadPrompt();
  useShortcuts(areShortcutsOn, (action) => {
    if (action.kind === 'help') openHelp();
    if (action.kind === 'page') navigate(action.path);
    if (action.kind === 'search') {
      if (document.getElementById('search') === null) navigate('/calls');
      focusSearch();
    }
  });
  return (
    <div className="flex h-dvh flex-col md:flex-row">
      <a
        href="#content"
        className="sr-only focus:not-sr-only focus:absolute focus:z-10 focus:m-2 focus:rounded-md focus:bg-raised focus:p-2"
      >
        {texts.navigation.skip}
      </a>
      <header className="flex items-center gap-2 border-b border-line bg-surface px-4 py-2 md:hidden">
        <Brand />
        <Account onHelp={openHelp} />
      </header>
      <div className="order-last flex flex-col border-line bg-surface max-md:border-t md:order-first md:w-52 md:border-r md:p-3">
        <header className="mb-4 px-2 pt-1 max-md:hidden">
          <Brand />
        </header>
        <nav aria-label={texts.navigation.label} className="flex md:flex-col md:gap-1">
          {PAGES.map((page) => (
            <PageLink key={page.path} {...page} />
          ))}
        </nav>
        <footer className="mt-auto flex flex-col gap-1 px-2 max-md:hidden">
          <Account onHelp={openHelp} />
        </footer>
      </div>
      <main
        id="content"
        tabIndex={-1}
        className="flex min-h-0 min-w-0 flex-1 flex-col overflow-y-auto outline-none"
      >
        <ConnectionBanner />
        <LateErrorList />
        {children}
      </main>
      {isHelpOpen && (
        <HelpDialog
          areShortcutsOn={areShortcutsOn}
          onShortcutsChange={setShortcutsOn}
          onClose={() => setHelpOpen(false)}
        />
      )}
    </div>
  );
}

function Brand() {
  return (
    <span className="flex items-center gap-2 font-semibold">
      <img src={icon} alt="" width={22} height={22} />
      {texts.product}
    </span>
  );
}

function PageLink({ path, name }: { path: string; name: string }) {
  const [isExact] = useRoute(path);
  const [isBelow] = useRoute(`${path}/*`);
  const isCurrent = isExact || isBelow;
  return (
    <Link
      href={path}
      aria-current={isCurrent ? 'page' : undefined}
      className={classNames(
        'flex-1 rounded-md px-2 py-2 text-center text-sm font-medium max-md:py-3 md:text-left',
        path === '/stop' && 'text-danger-ink',
        isCurrent ? 'bg-hover' : 'hover:bg-hover',
        isCurrent && path !== '/stop' && 'text-accent',
      )}
    >
      {name}
    </Link>
  );
}

function Account({ onHelp }: { onHelp: () => void }) {
  const { name, organization } = useSession();
  const { mutate: signOut, error, isPending } = useSignOut();
  return (
    <div className="flex min-w-0 flex-1 items-center justify-end gap-1 md:flex-col md:items-start">
      <p
        className="truncate text-xs text-muted md:max-w-full"
        title={texts.navigation.signedInWith(name, organization)}
      >
        {texts.navigation.signedInWith(name, organization)}
      </p>
      <Button kind="quiet" className="md:-ml-[13px]" onClick={onHelp}>
        {texts.navigation.help}
      </Button>
      <Button kind="quiet" className="md:-ml-[13px]" isBusy={isPending} onClick={() => signOut()}>
        {texts.navigation.signOut}
      </Button>
      {error !== null && (
        <p role="alert" className="text-xs text-danger-ink">
          {texts.navigation.stillSignedIn(messageOf(error))}
        </p>
      )}
    </div>
  );
}
