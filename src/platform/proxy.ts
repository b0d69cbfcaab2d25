import type { HttpProxy } from '../ports/livekit.ts';

export const PROXY_EXPECTED =
  'HTTPS_PROXY, HTTP_PROXY: expected a URL such as http://proxy.example.com:3128 (http or https)';

/**
 * Returns the proxy that the environment names for a URL, by the rules of curl and Go: by the scheme of the URL, lower
 * case first, never for loopback addresses. Null if no proxy applies; `wrong` if its URL is invalid.
 */
export function proxyTo(
  target: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): HttpProxy | null | 'wrong' {
  if (target === undefined) return null;
  const { protocol, hostname } = new URL(target);
  if (/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return null;
  const name = protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const given = environment[name] || environment[name.toUpperCase()];
  if (!given) return null;
  const url = URL.parse(given.includes('://') ? given : `http://${given}`);
  if (url === null || /\s/.test(given) || !/^https?:$/.test(url.protocol)) return 'wrong';
  return { url: url.href, except: withSubdomains(environment.no_proxy || environment.NO_PROXY || '') };
}

/** In curl and Go, a host in NO_PROXY includes its subdomains; in Node.js it does not. */
function withSubdomains(noProxy: string): string {
  const hosts = noProxy.split(/[\s,]+/).filter((host) => host !== '');
  return hosts.flatMap((host) => (/^[.*]/.test(host) ? [host] : [host, `.${host}`])).join(',');
}
