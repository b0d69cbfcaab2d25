import type {
  CallDetails,
  CallEvents,
  CallList,
  CallListItem,
  CancelCallInput,
  CancelledCall,
  CreateCallInput,
  FoundCalls,
  ListCallEventsInput,
  ListCallsInput,
  SearchCallsInput,
} from './api-types.ts';
import { allItems } from './pages.ts';
import { type ChangeOptions, type RequestOptions, segment, type Transport } from './transport.ts';

/** The filter and the order of all pages. `limit` is the number of calls in one page, 100 by default. */
export type ListAllCallsInput = Omit<ListCallsInput, 'cursor' | 'offset'>;

const LARGEST_PAGE = 100;

export class CallsClient {
  private readonly transport: Transport;

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Registers a call before your platform places the call. */
  async create(input: CreateCallInput = {}, options?: ChangeOptions): Promise<CallDetails> {
    return this.transport.change('POST', '/calls', { body: input }, options);
  }

  /** Returns a call, with the participants in its room if the call is live. */
  async get(id: string, options?: RequestOptions): Promise<CallDetails> {
    return this.transport.get(`/calls/${segment(id)}`, {}, options);
  }

  /** Returns one page of calls, newest first. */
  async list(input: ListCallsInput = {}, options?: RequestOptions): Promise<CallList> {
    return this.transport.get('/calls', { ...input }, options);
  }

  /** Yields all matching calls, newest first. */
  listAll(
    input: ListAllCallsInput = {},
    options?: RequestOptions,
  ): AsyncGenerator<CallListItem, void, undefined> {
    return allItems(
      (cursor) => this.list({ limit: LARGEST_PAGE, ...input, cursor }, options),
      ({ calls }) => calls,
    );
  }

  /** Returns the newest calls whose id, room or phone number matches a text. */
  async search(input: SearchCallsInput, options?: RequestOptions): Promise<FoundCalls> {
    return this.transport.get('/call-search', { ...input }, options);
  }

  /** Cancels a call, and deletes its room. When the promise resolves, the cancel is on disk. */
  async cancel(id: string, input: CancelCallInput = {}, options?: ChangeOptions): Promise<CancelledCall> {
    return this.transport.change('DELETE', `/calls/${segment(id)}`, { query: { ...input } }, options);
  }

  /** Returns one page of a call's changes, oldest first. */
  async events(id: string, input: ListCallEventsInput = {}, options?: RequestOptions): Promise<CallEvents> {
    return this.transport.get(`/calls/${segment(id)}/events`, { ...input }, options);
  }
}
