import { getCACertificates, setDefaultCACertificates } from 'node:tls';

let areTrusted = false;

/**
 * Trusts the CAs that the machine trusts, besides Node's own, for a URL that needs any: as --use-system-ca does, which
 * costs each start 20 ms.
 */
export function trustSystemCertificates(url: string): void {
  if (areTrusted || !url.startsWith('https:')) return;
  setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')]);
  areTrusted = true;
}
