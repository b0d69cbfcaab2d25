import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { isApiKeyFormat } from '../domain/api-key.ts';

/**
 * Returns the API key of a request; null if neither header has the format of a key. A gateway may use one of the two
 * headers for its own credential.
 */
export function readApiKey({ headers }: IncomingMessage): string | null {
  const key = headers['x-api-key'];
  if (typeof key === 'string' && isApiKeyFormat(key)) return key;
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return bearer !== undefined && isApiKeyFormat(bearer) ? bearer : null;
}

/**
 * Returns a function that returns the address of a request's client, for the log and the rate limit. It reads `X-Forwarded-For`
 * from the end, because each proxy appends its client, up to an untrusted address: a client can send any header.
 * @param trustedProxies addresses and CIDR ranges
 */
export function createAddressResolver(
  trustedProxies: readonly string[],
): (remoteAddress: string | undefined, headers: IncomingHttpHeaders) => string | undefined {
  const isTrusted = createTrustCheck(trustedProxies);
  return (remoteAddress, headers) => {
    let address = plainAddress(remoteAddress ?? '');
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
    while (address !== undefined && isTrusted(address)) {
      const previous = plainAddress(forwarded.pop()?.trim() ?? '');
      if (previous === undefined) break;
      address = previous;
    }
    return address;
  };
}

/**
 * Returns a function that returns whether the browser of a request uses https. A trusted proxy sends the scheme in
 * `X-Forwarded-Proto`. A browser sends the scheme of its page in `Origin`, which no page can change.
 * @param trustedProxies addresses and CIDR ranges
 */
export function createSchemeResolver(
  trustedProxies: readonly string[],
): (peerAddress: string | undefined, headers: IncomingHttpHeaders) => boolean {
  const isTrusted = createTrustCheck(trustedProxies);
  return (peerAddress, headers) => {
    if (headers.origin?.startsWith('https://')) return true;
    const peer = plainAddress(peerAddress ?? '');
    if (peer === undefined || !isTrusted(peer)) return false;
    // The first proxy, which has the connection of the browser, begins the list.
    const [scheme = ''] = [headers['x-forwarded-proto'] ?? []].flat().join(',').split(',');
    return scheme.trim().toLowerCase() === 'https';
  };
}

/** @param trustedProxies addresses and CIDR ranges */
function createTrustCheck(trustedProxies: readonly string[]): (address: string) => boolean {
  const trusted = new BlockList();
  for (const text of trustedProxies) {
    const [address = '', prefix] = text.split('/');
    if (prefix === undefined) trusted.addAddress(address, familyOf(address));
    else trusted.addSubnet(address, Number(prefix), familyOf(address));
  }
  return (address) => trusted.check(address, familyOf(address));
}

/**
 * Returns the network of an address that one client controls: an IPv4 address itself, and the first 64 bits of an IPv6
 * address. A client can use every address of its /64.
 */
export function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = '', tail] = address.split('::');
  const groups = (text: string | undefined) => (text ? text.split(':') : []);
  const after = groups(tail);
  // The last group can be an IPv4 address, which has the length of two groups.
  const missing = 8 - groups(head).length - after.length - (after.at(-1)?.includes('.') ? 1 : 0);
  const all = tail === undefined ? groups(head) : [...groups(head), ...Array(missing).fill('0'), ...after];
  const prefix = all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${prefix.join(':')}::/64`;
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** An IPv4-mapped address in the spelling of URL, which is the same for all spellings of the address. */
const MAPPED = /^\[::ffff:([\da-f]+):([\da-f]+)\]$/;

/** Returns the address without a port, and an IPv4-mapped address as IPv4; undefined if the text is not an address. */
function plainAddress(text: string): string | undefined {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/^::ffff:(?=[\d.]+$)/i, '');
  const version = isIP(address);
  if (version !== 6) return version === 0 ? undefined : address;
  const [, high, low] = MAPPED.exec(URL.parse(`http://[${address}]`)?.hostname ?? '') ?? [];
  if (high === undefined || low === undefined) return address;
  return [high, low]
    .map((group) => Number.parseInt(group, 16))
    .flatMap((bits) => [bits >> 8, bits & 255])
    .join('.');
}
