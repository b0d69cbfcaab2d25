/** Smaller differences have other causes: the header `Date` has full seconds, and a response takes time. */
const TOLERANCE_MS = 10_000;

let offsetMs = 0;

/** Returns the time of the server, in ms since 1970. A wrong clock of the reader's machine would show wrong ages. */
export const currentTime = () => Date.now() + offsetMs;

/** Sends a request, and compares the clock of this machine with the clock of the server. */
export async function fetchAndCompareClocks(
  input: Parameters<typeof fetch>[0],
  init?: object,
): Promise<Response> {
  const sentAt = Date.now();
  const response = await fetch(input, init);
  compareClocks(response.headers.get('date'), sentAt, Date.now());
  return response;
}

/** Ignores a slow response: the machine may have slept since its header `Date`. */
export function compareClocks(date: string | null, sentAt: number, receivedAt: number): void {
  const difference = Date.parse(date ?? '') - receivedAt;
  if (Number.isNaN(difference) || receivedAt - sentAt > TOLERANCE_MS) return;
  offsetMs = Math.abs(difference) > TOLERANCE_MS ? difference : 0;
}
