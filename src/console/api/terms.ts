/** Returns the text of a term that another program sends; null for a term that the texts do not have. */
export function textOf(texts: Readonly<Record<string, string>>, term: string): string | null {
  return Object.hasOwn(texts, term) ? (texts[term] ?? null) : null;
}
