/** A map whose values have a limited size in total. A new value replaces those that were used least recently. */
export interface BoundedCache<Value> {
  /** Returns the value of a key, after making the value if absent. */
  get(key: string, make: () => Value): Value;
  clear(): void;
}

/** @param sizeOf returns the size of a value, in the unit of the limit; default: 1 */
export function createBoundedCache<Value>(
  limit: number,
  sizeOf: (value: Value) => number = () => 1,
): BoundedCache<Value> {
  // A Map iterates in the order of insertion.
  const values = new Map<string, Value>();
  let size = 0;
  return {
    get(key, make) {
      const known = values.get(key);
      const value = known ?? make();
      if (known === undefined) size += sizeOf(value);
      else values.delete(key);
      values.set(key, value);
      for (const [oldKey, old] of values) {
        if (size <= limit || oldKey === key) break;
        values.delete(oldKey);
        size -= sizeOf(old);
      }
      return value;
    },
    clear() {
      values.clear();
      size = 0;
    },
  };
}
