import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { isApiKeyFormat } from '../domain/api-key.ts';

/**
 * The API key of a request; null when neither header has the shape of one. A gateway in front may use one of the two
 * headers for a key of its own.
 */
export function presentedKey({ headers }: IncomingMessage): string | null {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  const candidates = [headers['x-api-key'], bearer];
  return candidates.find((text): text is string => typeof text === 'string' && isApiKeyFormat(text)) ?? null;
}

/**
 * Finds the address of the client of a request, for the log. `X-Forwarded-For` is read from its end, where each proxy
 * appends the address of its own client, and only as far as trusted proxies wrote it: anybody can send the rest.
 * @param trustedProxies addresses and CIDR ranges
 */
export function remoteAddresses(
  trustedProxies: readonly string[],
): (request: IncomingMessage) => string | undefined {
  const trusted = new BlockList();
  for (const text of trustedProxies) {
    const [address = '', prefix] = text.split('/');
    if (prefix === undefined) trusted.addAddress(address, familyOf(address));
    else trusted.addSubnet(address, Number(prefix), familyOf(address));
  }
  const isTrusted = (address: string) => trusted.check(address, familyOf(address));

  return ({ socket, headers }) => {
    let address = plainAddress(socket.remoteAddress ?? '');
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',');
    while (address !== undefined && isTrusted(address)) {
      const before = plainAddress(forwarded.pop()?.trim() ?? '');
      if (before === undefined) break;
      address = before;
    }
    return address;
  };
}

const familyOf = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Without a port, and of an IPv4 address in IPv6 the former; undefined for what is not an address. */
function plainAddress(text: string): string | undefined {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const address = bare.replace(/^::ffff:(?=[\d.]+$)/i, '');
  return isIP(address) === 0 ? undefined : address;
}
