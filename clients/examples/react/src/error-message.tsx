/** Returns the message of an error for the user of the page. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function ErrorMessage({ error }: { readonly error: unknown }) {
  return error === null ? null : <p role="alert">{messageOf(error)}</p>;
}
