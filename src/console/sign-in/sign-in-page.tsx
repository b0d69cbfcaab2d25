import { type FormEvent, useEffect, useId, useLayoutEffect, useRef, useState } from 'react';
import { messageOf, SessionError, statusOf } from '../api/errors.ts';
import { useSignIn } from '../api/session.tsx';
import icon from '../icon.svg';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { TextField } from '../ui/field.tsx';

/** @param linkError the error of a sign-in link, or of a page without a session */
export function SignInPage({ linkError }: { linkError: unknown }) {
  return (
    <main className="flex min-h-dvh items-center justify-center p-4">
      <SignInForm linkError={linkError} />
    </main>
  );
}

/**
 * The sign-in page over the page of an ended session, so that the reader continues at the same place. It is a modal
 * dialog, because the page can have an open one.
 */
export function SessionEnded() {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();

  useLayoutEffect(() => {
    const before = document.activeElement;
    ref.current?.showModal();
    return () => {
      // The page is visible again only after this commit.
      if (before instanceof HTMLElement) setTimeout(() => before.focus());
    };
  }, []);

  return (
    <dialog
      ref={ref}
      aria-labelledby={titleId}
      // Escape must not show the page.
      closedby="none"
      onCancel={(event) => event.preventDefault()}
      onClose={() => ref.current?.showModal()}
      className="m-0 flex h-dvh max-h-none w-screen max-w-none items-center justify-center bg-page p-4 text-text"
    >
      <SignInForm titleId={titleId} linkError={null} notice={texts.signIn.ended} />
    </dialog>
  );
}

function SignInForm({
  linkError,
  notice,
  titleId,
}: {
  linkError: unknown;
  notice?: string;
  titleId?: string;
}) {
  const [apiKey, setApiKey] = useState('');
  const { mutate, error, isPending } = useSignIn();

  useEffect(() => {
    const before = document.title;
    document.title = `${texts.signIn.title} · ${texts.product}`;
    return () => {
      document.title = before;
    };
  }, []);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!isPending) mutate(apiKey.trim());
  };
  return (
    <form
      onSubmit={submit}
      className="flex w-full max-w-sm flex-col gap-4 rounded-lg border border-line bg-surface p-6 shadow-sm"
    >
      <div className="flex items-center gap-3">
        <img src={icon} alt="" width={32} height={32} />
        <h1 id={titleId} className="text-xl font-semibold">
          {texts.signIn.heading}
        </h1>
      </div>
      {notice !== undefined && (
        <p role="status" className="rounded-md bg-warning-soft p-3 text-sm text-warning-ink">
          {notice}
        </p>
      )}
      <TextField
        label={texts.signIn.apiKey}
        hint={texts.signIn.hint}
        error={errorText(error, linkError)}
        type="password"
        name="apiKey"
        // The browser's password manager is the one place that may keep the key.
        autoComplete="current-password"
        spellCheck={false}
        required
        autoFocus
        value={apiKey}
        onChange={(event) => setApiKey(event.target.value)}
      />
      <Button type="submit" kind="primary" isBusy={isPending}>
        {texts.signIn.submit}
      </Button>
    </form>
  );
}

function errorText(error: unknown, linkError: unknown): string | undefined {
  if (error !== null) return statusOf(error) === 401 ? texts.signIn.wrong : messageOf(error);
  return linkError instanceof SessionError ? texts.signIn.linkRefused : undefined;
}
