import { explainDeletionError } from './explain-error.ts';

/** The last error of a room deletion: its cause and remedy, if they are known, and LiveKit's own words. */
export function LastError({ error }: { error: string }) {
  const explanation = explainDeletionError(error);
  return (
    <>
      {explanation !== null && (
        <p>
          {explanation.cause} {explanation.remedy}
        </p>
      )}
      <p className="font-mono text-xs [overflow-wrap:anywhere] text-muted">{error}</p>
    </>
  );
}
