import { type ReactNode, useEffect, useRef } from 'react';
import { texts } from '../texts.ts';

/** After the load of the document the first Tab reaches the link to the content. */
let isFirstPage = true;

/**
 * The frame of a page: its title, also in the browser's tab, and its actions. The title has the focus after a change of
 * the page, so that a screen reader reads it.
 */
export function Page({
  title,
  actions,
  children,
}: {
  title: string;
  actions?: ReactNode;
  children: ReactNode;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · ${texts.product}`;
  }, [title]);
  useEffect(() => {
    if (isFirstPage) {
      isFirstPage = false;
      return;
    }
    if (document.activeElement === document.body || document.activeElement?.closest('nav') !== null) {
      heading.current?.focus();
    }
  }, []);
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-4 p-4 md:p-6">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1
          ref={heading}
          tabIndex={-1}
          className="min-w-0 text-xl font-semibold [overflow-wrap:anywhere] outline-none"
        >
          {title}
        </h1>
        {actions !== undefined && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

/** A framed part of a page. */
export function Card({
  title,
  actions,
  children,
}: {
  title?: string;
  actions?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className="rounded-lg border border-line bg-surface p-4">
      {title !== undefined && (
        <div className="mb-3 flex flex-wrap items-center justify-between gap-2">
          <h2 className="text-base font-semibold">{title}</h2>
          {actions}
        </div>
      )}
      {children}
    </section>
  );
}
