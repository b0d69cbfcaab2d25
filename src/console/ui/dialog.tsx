import { type ReactNode, useEffect, useId, useLayoutEffect, useRef } from 'react';

/**
 * A modal dialog. The browser traps the focus, closes the dialog on Escape, and returns the focus to the control that
 * opened it. Without that control, the title of the page gets the focus. Render it only while it is open.
 */
export function Dialog({
  title,
  onClose,
  isPersistent = false,
  children,
}: {
  title: string;
  onClose: () => void;
  /** Escape does not close the dialog. */
  isPersistent?: boolean;
  children: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();

  // Closes before React removes the dialog: a removed dialog cannot return the focus.
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  useEffect(() => {
    // The control that opened the dialog can be gone, for example the button of a revoked key.
    return () => {
      if (document.activeElement === document.body) document.querySelector('h1')?.focus();
    };
  }, []);

  return (
    <dialog
      ref={ref}
      aria-labelledby={titleId}
      closedby={isPersistent ? 'none' : 'closerequest'}
      onCancel={(event) => isPersistent && event.preventDefault()}
      onClose={onClose}
      className="m-auto w-[min(32rem,calc(100vw-2rem))] rounded-lg border border-line bg-raised p-5 text-text shadow-xl"
    >
      <h2 id={titleId} className="mb-3 text-lg font-semibold">
        {title}
      </h2>
      {children}
    </dialog>
  );
}
