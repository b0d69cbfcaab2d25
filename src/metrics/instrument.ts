/** What became of one call of a port's method. */
export type Ended<T> =
  | { readonly method: keyof T & string; readonly durationMs: number; readonly result: Result<T> }
  | { readonly method: keyof T & string; readonly durationMs: number; readonly error: unknown };

type Result<T> = { [M in keyof T]: T[M] extends (...args: never[]) => infer R ? Awaited<R> : never }[keyof T];
type Port<T> = { readonly [M in keyof T]: (...args: never[]) => Promise<unknown> };

/** The same port, and `onEnd` is told of each call of each of its methods, also of those that it will get. */
export function instrument<T extends Port<T>>(port: T, onEnd: (ended: Ended<T>) => void): T {
  const wrap =
    (method: keyof T & string) =>
    async (...args: never[]) => {
      const startedAt = performance.now();
      try {
        const result = (await port[method](...args)) as Result<T>;
        onEnd({ method, durationMs: performance.now() - startedAt, result });
        return result;
      } catch (error) {
        onEnd({ method, durationMs: performance.now() - startedAt, error });
        throw error;
      }
    };
  const methods = Object.keys(port) as (keyof T & string)[];
  return Object.fromEntries(methods.map((method) => [method, wrap(method)])) as T;
}
