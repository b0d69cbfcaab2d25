import { getCACertificates, setDefaultCACertificates } from 'node:tls';

let isInstalled = false;

/**
 * Adds the machine's CA certificates to Node's own before the first https request. Node's option --use-system-ca does the
 * same at every start, which takes 20 ms.
 */
export function trustSystemCertificates(url: string): void {
  if (isInstalled || !url.startsWith('https:')) return;
  setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')]);
  isInstalled = true;
}
