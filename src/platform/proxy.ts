import type { HttpProxy } from '../ports/livekit.ts';

export const PROXY_EXPECTED =
  'HTTPS_PROXY, HTTP_PROXY: expected a URL such as http://proxy.example.com:3128 (http or https)';

/**
 * Returns the proxy for a URL by the rules of curl and Go: the URL's scheme selects the variable, lower-case names win,
 * and a URL of this machine has no proxy. Null: a direct connection.
 */
export function proxyFor(
  target: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): HttpProxy | null | 'invalid' {
  if (target === undefined) return null;
  const { protocol, hostname } = new URL(target);
  if (/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)) return null;
  const name = protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const value = environment[name] || environment[name.toUpperCase()];
  if (!value) return null;
  const url = URL.parse(value.includes('://') ? value : `http://${value}`);
  if (url === null || /\s/.test(value) || !/^https?:$/.test(url.protocol)) return 'invalid';
  return { url: url.href, noProxy: withSubdomains(environment.no_proxy || environment.NO_PROXY || '') };
}

/** Adds the subdomains of each host, which NO_PROXY includes in curl and Go, but not in Node.js. */
function withSubdomains(noProxy: string): string {
  const hosts = noProxy.split(/[\s,]+/).filter((host) => host !== '');
  return hosts.flatMap((host) => (/^[.*]/.test(host) ? [host] : [host, `.${host}`])).join(',');
}
