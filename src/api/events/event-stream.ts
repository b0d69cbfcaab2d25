export interface StreamData {
  readonly id: string;
  readonly type: string;
}

/** One message of an event stream. */
export interface StreamMessage<Data> {
  /** The position after this message. */
  readonly id: string;
  /** Null: only the position changes. */
  readonly data: Data | null;
}

/** An output that lasts: REST sends it as server-sent events, and tRPC as a subscription. */
export class EventStream<Data extends StreamData = StreamData> {
  /** Ends when the signal is aborted. Throws as the procedure would. */
  readonly open: (signal: AbortSignal) => AsyncIterable<StreamMessage<Data>>;

  constructor(open: (signal: AbortSignal) => AsyncIterable<StreamMessage<Data>>) {
    this.open = open;
  }
}
