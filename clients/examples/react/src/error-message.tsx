import { HangupError } from '@hangup/client';

/** Returns the message of an error for the user of the page. */
export function messageOf(error: unknown): string {
  // Browsers do not distinguish a server that is away from a server whose CORS_ORIGINS lacks the page's origin.
  if (error instanceof HangupError && error.code === 'network_error') {
    return `${error.message} If the address is correct, CORS_ORIGINS of hangup must contain ${location.origin}.`;
  }
  return error instanceof Error ? error.message : String(error);
}

export function ErrorMessage({ error }: { readonly error: unknown }) {
  return error === null ? null : <p role="alert">{messageOf(error)}</p>;
}
