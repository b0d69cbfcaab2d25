import type { AgentList } from './api-types.ts';
import type { RequestOptions, Transport } from './transport.ts';

export class AgentsClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Returns the agents of the live calls, those with the most calls first. */
  async list(options?: RequestOptions): Promise<AgentList> {
    return this.transport.get('/agents', {}, options);
  }
}
