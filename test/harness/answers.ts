/** A response of hangup. */
export interface Answer {
  readonly kind: 'create' | 'cancel' | 'webhook';
  readonly status: number;
  readonly retryAfter: string | null;
  readonly durationMs: number;
  readonly text: string;
}

/** Longer than any response takes. */
const TIMEOUT_MS = 20_000;

/** Sends a request. Returns its response; null: the connection broke, so the outcome is unknown. */
export async function answerOf(
  kind: Answer['kind'],
  url: string,
  options: Omit<RequestInit, 'signal'>,
): Promise<Answer | null> {
  const startedAt = performance.now();
  try {
    const response = await fetch(url, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const text = await response.text();
    return {
      kind,
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      durationMs: performance.now() - startedAt,
      text,
    };
  } catch {
    return null;
  }
}
