import { useIsMutating } from '@tanstack/react-query';
import { useEffect } from 'react';

/** The tab closes only after a confirmation while an action has no response: a closed page cannot send the action again. */
export function useUnloadPrompt(): void {
  const isActing = useIsMutating({ predicate: ({ meta }) => meta?.['changesNothing'] !== true }) > 0;
  useEffect(() => {
    if (!isActing) return;
    const prompt = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener('beforeunload', prompt);
    return () => window.removeEventListener('beforeunload', prompt);
  }, [isActing]);
}
