/** A finished call of a port's method, with its result or its error. */
export type FinishedCall<T> =
  | { readonly method: keyof T & string; readonly durationMs: number; readonly result: Result<T> }
  | { readonly method: keyof T & string; readonly durationMs: number; readonly error: unknown };

type Result<T> = { [M in keyof T]: T[M] extends (...args: never[]) => infer R ? Awaited<R> : never }[keyof T];
type Port<T> = { readonly [M in keyof T]: (...args: never[]) => Promise<unknown> };

/** Runs a function, and passes its duration with its result or its error to `onFinished`. */
export async function timeCall<R>(
  run: () => Promise<R>,
  onFinished: (durationMs: number, outcome: { readonly result: R } | { readonly error: unknown }) => void,
): Promise<R> {
  const startedAt = performance.now();
  try {
    const result = await run();
    onFinished(performance.now() - startedAt, { result });
    return result;
  } catch (error) {
    onFinished(performance.now() - startedAt, { error });
    throw error;
  }
}

/** Returns a copy of the port that passes each finished call to `onFinished`. Covers every method of the port. */
export function instrument<T extends Port<T>>(port: T, onFinished: (call: FinishedCall<T>) => void): T {
  const wrap =
    (method: keyof T & string) =>
    (...args: never[]) =>
      timeCall(
        () => port[method](...args) as Promise<Result<T>>,
        (durationMs, outcome) => onFinished({ method, durationMs, ...outcome }),
      );
  const methods = Object.keys(port) as (keyof T & string)[];
  return Object.fromEntries(methods.map((method) => [method, wrap(method)])) as T;
}
