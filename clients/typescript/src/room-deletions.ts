import type { IncompleteDeletion, ListRoomDeletionsInput, RoomDeletionList } from './api-types.ts';
import { type ChangeOptions, type RequestOptions, segment, type Transport } from './transport.ts';

/** The deletions of the rooms of ended calls. */
export class RoomDeletionsClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Returns one page of the open and discarded deletions, oldest first. */
  async list(input: ListRoomDeletionsInput = {}, options?: RequestOptions): Promise<RoomDeletionList> {
    return this.transport.get('/room-deletions', { ...input }, options);
  }

  /** Makes an open or discarded deletion due at once. */
  async retry(callId: string, options?: ChangeOptions): Promise<IncompleteDeletion> {
    const path = `/calls/${segment(callId)}/room-deletion/retry`;
    return this.transport.change('POST', path, { body: {} }, options);
  }
}
