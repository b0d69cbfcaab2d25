const readKey = () => new URLSearchParams(location.hash.slice(1)).get('key');

/** Returns whether the address is a sign-in link, `/console#key=KEY`. */
export function hasLinkKey(): boolean {
  return readKey() !== null;
}

/**
 * Returns the API key of a sign-in link, and removes it from the address and the history. The part after `#` never
 * reaches a server.
 */
export function takeLinkKey(): string | null {
  const key = readKey();
  if (key !== null) history.replaceState(history.state, '', location.pathname + location.search);
  return key;
}
