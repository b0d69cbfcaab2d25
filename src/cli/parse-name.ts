import { InvalidArgumentError } from 'commander';

/** Accepts the name of an organization or a key, or a prefix of room names. */
export function parseName(text: string): string {
  if (/^[^\p{Cc}]{1,128}$/u.test(text) && text.trim() === text) return text;
  throw new InvalidArgumentError('expected 1 to 128 characters, without surrounding spaces.');
}
