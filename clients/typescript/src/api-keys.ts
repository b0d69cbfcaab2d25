import type { ApiKey } from './api-types.ts';
import type { RequestOptions, Transport } from './transport.ts';

export class ApiKeysClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Returns the properties of the client's own key, for example its scopes. */
  async current(options?: RequestOptions): Promise<ApiKey> {
    return this.transport.get('/api-keys/current', {}, options);
  }
}
