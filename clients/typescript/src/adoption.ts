import type { AdoptionPrefix, AdoptionPrefixList, RemovedAdoptionPrefix } from './api-types.ts';
import { type RequestOptions, segment, type Transport } from './transport.ts';

/** Manages the prefixes that turn unregistered rooms into calls. Requires the scope `admin`. */
export class AdoptionClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Returns the prefixes of the organization, in alphabetical order. */
  async list(options?: RequestOptions): Promise<AdoptionPrefixList> {
    return this.transport.get('/adoption-prefixes', {}, options);
  }

  /** Adds a prefix. Adding twice has no further effect. */
  async add(prefix: string, options?: RequestOptions): Promise<AdoptionPrefix> {
    return this.transport.changeWithoutKey('POST', '/adoption-prefixes', { body: { prefix } }, options);
  }

  /** Removes a prefix. Its adopted calls stay. */
  async remove(prefix: string, options?: RequestOptions): Promise<RemovedAdoptionPrefix> {
    return this.transport.changeWithoutKey('DELETE', `/adoption-prefixes/${segment(prefix)}`, {}, options);
  }
}
