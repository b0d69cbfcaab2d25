/** A map of at most `limit` values. A new value replaces the one that was used least recently. */
export interface BoundedCache<Value> {
  /** Returns the value of a key, after making the value if absent. */
  get(key: string, make: () => Value): Value;
  clear(): void;
}

export function createBoundedCache<Value>(limit: number): BoundedCache<Value> {
  // A Map iterates in the order of insertion.
  const values = new Map<string, Value>();
  return {
    get(key, make) {
      const value = values.get(key) ?? make();
      values.delete(key);
      values.set(key, value);
      const [oldest] = values.keys();
      if (values.size > limit && oldest !== undefined) values.delete(oldest);
      return value;
    },
    clear: () => values.clear(),
  };
}
