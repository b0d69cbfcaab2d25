let last = '';

/** Keeps the query of the Calls page for the way back from a call. */
export function saveSearch(search: string): void {
  last = search;
}

/** Returns the address of the Calls page with the reader's last filters. */
export function callsAddress(): string {
  return last === '' ? '/calls' : `/calls?${last}`;
}
