import { Component, type ErrorInfo, type ReactNode } from 'react';
import { texts } from '../texts.ts';
import { Button } from '../ui/button.tsx';
import { ChunkError } from './chunk-error.ts';

/** Shows an error of a page in its place. The navigation stays usable. */
export function PageErrorBoundary({ children }: { children: ReactNode }) {
  return <ErrorBoundary fallback={(error) => <Failure error={error} />}>{children}</ErrorBoundary>;
}

/** Shows an error that no page boundary has caught. */
export function AppErrorBoundary({ children }: { children: ReactNode }) {
  const fallback = (error: unknown) => (
    <main className="flex min-h-dvh flex-col justify-center">
      <Failure error={error} />
    </main>
  );
  return <ErrorBoundary fallback={fallback}>{children}</ErrorBoundary>;
}

function Failure({ error }: { error: unknown }) {
  const { title, text } = error instanceof ChunkError ? texts.failure.chunk : texts.failure.page;
  return (
    <div role="alert" className="mx-auto flex max-w-xl flex-col items-start gap-3 p-6">
      <h1 className="text-xl font-semibold">{title}</h1>
      <p>{text}</p>
      <Button kind="primary" onClick={() => location.reload()}>
        {texts.failure.reload}
      </Button>
      {!(error instanceof ChunkError) && (
        <details className="text-sm text-muted">
          <summary>{texts.failure.details}</summary>
          <pre className="mt-2 whitespace-pre-wrap break-words font-mono text-xs">
            {error instanceof Error ? `${error.name}: ${error.message}` : String(error)}
          </pre>
        </details>
      )}
    </div>
  );
}

interface Props {
  readonly fallback: (error: unknown) => ReactNode;
  readonly children: ReactNode;
}

class ErrorBoundary extends Component<Props, { readonly caught: { readonly error: unknown } | null }> {
  override state: { readonly caught: { readonly error: unknown } | null } = { caught: null };

  static getDerivedStateFromError(error: unknown) {
    return { caught: { error } };
  }

  override componentDidCatch(error: unknown, info: ErrorInfo): void {
    console.error(error, info.componentStack);
  }

  override render(): ReactNode {
    const { caught } = this.state;
    return caught === null ? this.props.children : this.props.fallback(caught.error);
  }
}
