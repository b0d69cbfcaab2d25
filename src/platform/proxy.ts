/** The HTTP proxy that leads to a server. */
export interface HttpProxy {
  /** http or https. */
  readonly url: string;
  /** Hosts that are reached without it, as in NO_PROXY. */
  readonly except: string;
}

export const PROXY_EXPECTED =
  'HTTPS_PROXY, HTTP_PROXY: expected a URL such as http://proxy.example.com:3128 (http or https)';

/**
 * Returns the proxy that the environment names for a URL, as curl and Go choose it: by the scheme of the URL, lower case
 * first, never for this machine itself. Null when there is none, `wrong` when it cannot be used.
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

/** For curl and Go a host stands for its subdomains too, for Node.js it does not. */
function withSubdomains(noProxy: string): string {
  const hosts = noProxy.split(/[\s,]+/).filter((host) => host !== '');
  return hosts.flatMap((host) => (/^[.*]/.test(host) ? [host] : [host, `.${host}`])).join(',');
}
