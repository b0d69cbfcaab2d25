/** Returns the message of an error with those of its causes, without causes that the text already names. */
export function messageWithCauses(error: Error): string {
  const seen = new Set<unknown>();
  let text = '';
  let next: unknown = error;
  while (next instanceof Error && !seen.has(next)) {
    seen.add(next);
    if (!text.includes(next.message)) text += text === '' ? next.message : `: ${next.message}`;
    next = next.cause;
  }
  return text;
}
