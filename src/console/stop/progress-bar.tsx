import { useId } from 'react';
import { texts } from '../texts.ts';
import { type Progress, percent } from './progress.ts';

/** How many rooms of a stop are gone, as a bar with its text. */
export function ProgressBar({ progress, text }: { progress: Progress; text?: string }) {
  const { total, gone, waiting, discarded, outcome } = progress;
  const words = texts.stop.progress;
  const id = useId();
  const shown = text ?? words.text.running(gone, total);
  const width = (part: number) => ({ width: `${total === 0 ? 0 : (part / total) * 100}%` });
  return (
    <div className="flex flex-col gap-1.5">
      <div
        role="progressbar"
        aria-label={words.bar}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={outcome === 'running' && total === 0 ? 0 : percent(gone, total)}
        aria-valuetext={shown}
        aria-describedby={id}
        className="flex h-3 overflow-hidden rounded-full bg-hover"
      >
        {outcome === 'done' ? (
          <div className="w-full bg-success-ink" />
        ) : (
          <>
            <div className="bg-accent transition-[width]" style={width(gone)} />
            <div className="bg-danger transition-[width]" style={width(discarded)} />
            <div className="waiting transition-[width]" style={width(waiting)} />
          </>
        )}
      </div>
      <p id={id} className="text-sm">
        {shown}
      </p>
    </div>
  );
}
