import type { Health, HealthFindings, HealthHistory } from './api-types.ts';
import type { RequestOptions, Transport } from './transport.ts';

export class HealthClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Returns the state of hangup, with counts of your organization. */
  async get(options?: RequestOptions): Promise<Health> {
    return this.transport.get('/health', {}, options);
  }

  /** Returns the last hour, with a value for each 10 seconds. */
  async history(options?: RequestOptions): Promise<HealthHistory> {
    return this.transport.get('/health/history', {}, options);
  }

  /** Runs `hangup doctor` on the server, and returns its findings. */
  async findings(options?: RequestOptions): Promise<HealthFindings> {
    return this.transport.get('/health/findings', {}, options);
  }
}
