import { createContext, type ReactNode, useContext, useEffect, useRef, useState } from 'react';

/** The error of an action whose form is no longer on the page. */
export interface LateError {
  /** The action, such as `The cancel of call call-1 failed.` */
  readonly title: string;
  readonly error: unknown;
  /** The page where the reader can check and repeat the action. */
  readonly href: string;
}

interface ListedError extends LateError {
  readonly id: number;
}

interface LateErrors {
  readonly errors: readonly ListedError[];
  readonly add: (error: LateError) => void;
  readonly dismiss: (id: number) => void;
}

const LateErrorsContext = createContext<LateErrors | null>(null);

export function LateErrorsProvider({ children }: { children: ReactNode }) {
  const [errors, setErrors] = useState<readonly ListedError[]>([]);
  const add = (error: LateError) =>
    setErrors((before) => [...before, { ...error, id: (before.at(-1)?.id ?? 0) + 1 }]);
  const dismiss = (id: number) => setErrors((before) => before.filter((error) => error.id !== id));
  return <LateErrorsContext value={{ errors, add, dismiss }}>{children}</LateErrorsContext>;
}

export function useLateErrors(): LateErrors {
  const late = useContext(LateErrorsContext);
  if (late === null) throw new Error('late errors are used outside LateErrorsProvider');
  return late;
}

/** Returns a function for errors of the component's actions. It shows an error in the shell if the component has left the page. */
export function useReportLateError(): (error: LateError) => void {
  const { add } = useLateErrors();
  const hasLeft = useRef(false);
  useEffect(() => {
    hasLeft.current = false;
    return () => {
      hasLeft.current = true;
    };
  }, []);
  return (error) => {
    if (hasLeft.current) add(error);
  };
}
