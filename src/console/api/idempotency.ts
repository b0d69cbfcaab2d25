const BYTES = 16;

/**
 * Returns a random Idempotency-Key. Not the UUID of `crypto`: a page over plain HTTP, for example in a private network, has
 * no such function.
 */
function createIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(BYTES));
  return `console-${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/**
 * Returns the keys of requests: the same for the same request, so that a retry after a lost response has no second effect.
 * Another request gets another key.
 */
export function createKeyring(createKey: () => string = createIdempotencyKey) {
  const keys = new Map<string, string>();
  return {
    keyFor(request: object): string {
      const text = JSON.stringify(request);
      const key = keys.get(text) ?? createKey();
      keys.set(text, key);
      return key;
    },
    /** After a definite response: the next request is another one, also if it is equal. */
    discard(): void {
      keys.clear();
    },
  };
}
