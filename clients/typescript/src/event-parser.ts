/** More than any event of hangup. */
const MAX_LENGTH = 1024 * 1024;

/** One block of a stream of server-sent events. */
export interface ParsedMessage {
  /** Null: the block has no id. */
  readonly id: string | null;
  /** Null: only the id changes. */
  readonly data: string | null;
}

/** Parses server-sent events from chunks of text, by the HTML standard. Ignores the field `event`: the data has the type. */
export class EventParser {
  /** The delay before the next connection, as the server requests; null without a request. */
  retryMs: number | null = null;
  private rest = '';
  private id: string | null = null;
  private data: string[] = [];

  /**
   * Returns the messages that the chunk completes. An incomplete message at the end of a stream is dropped.
   * @throws RangeError for a message that is too long
   */
  push(chunk: string): ParsedMessage[] {
    const messages: ParsedMessage[] = [];
    const text = this.rest + chunk;
    let start = 0;
    for (const { index, 0: end } of text.matchAll(/\r\n|\n|\r/g)) {
      // A carriage return at the end of a chunk can be the first half of a line end.
      if (end === '\r' && index === text.length - 1) break;
      this.readLine(text.slice(start, index), messages);
      start = index + end.length;
    }
    this.rest = text.slice(start);
    if (this.rest.length + this.data.reduce((sum, line) => sum + line.length, 0) > MAX_LENGTH) {
      throw new RangeError(`an event is longer than ${MAX_LENGTH} characters`);
    }
    return messages;
  }

  private readLine(line: string, messages: ParsedMessage[]): void {
    if (line === '') {
      const { id, data } = this;
      if (id !== null || data.length > 0)
        messages.push({ id, data: data.length > 0 ? data.join('\n') : null });
      this.id = null;
      this.data = [];
      return;
    }
    const colon = line.indexOf(':');
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.id = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }
}
