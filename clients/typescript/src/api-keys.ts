import type { ApiKey, ApiKeyList, CreateApiKeyInput, CreatedApiKey, ListedApiKey } from './api-types.ts';
import { type RequestOptions, segment, type Transport } from './transport.ts';

/** Reads the client's own key. With the scope `admin`, also manages the keys of the organization. */
export class ApiKeysClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Returns the properties of the client's own key, for example its scopes. */
  async current(options?: RequestOptions): Promise<ApiKey> {
    return this.transport.get('/api-keys/current', {}, options);
  }

  /** Returns the keys of the organization: those that are not revoked first, and the newest of both first. */
  async list(options?: RequestOptions): Promise<ApiKeyList> {
    return this.transport.get('/api-keys', {}, options);
  }

  /**
   * Creates a key. The result is the only copy of the key. Sends one request, without a retry: after a lost response, list the
   * keys, and revoke the new one.
   */
  async create(
    input: CreateApiKeyInput,
    options?: Omit<RequestOptions, 'maxAttempts'>,
  ): Promise<CreatedApiKey> {
    return this.transport.changeWithoutKey(
      'POST',
      '/api-keys',
      { body: input },
      { ...options, maxAttempts: 1 },
    );
  }

  /** Revokes a key at once and permanently. */
  async revoke(keyId: string, options?: RequestOptions): Promise<ListedApiKey> {
    return this.transport.changeWithoutKey('DELETE', `/api-keys/${segment(keyId)}`, {}, options);
  }
}
