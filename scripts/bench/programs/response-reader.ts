const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/** Finds the end of each HTTP/1.1 response on a connection that sends one request at a time. */
export class ResponseReader {
  #received: Buffer = NOTHING;

  /** Returns the status once the response is complete; null before. */
  read(chunk: Buffer): string | null {
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    this.#received = bytes;
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd === -1) return null;
    const head = bytes.toString('latin1', 0, headEnd);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error(`response without length: ${head}`);
      if (!bytes.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) return null;
    } else {
      const missing = headEnd + HEAD_END.length + Number(length) - bytes.length;
      if (missing > 0) return null;
      if (missing < 0) throw new Error('more bytes than the response has');
    }
    this.#received = NOTHING;
    return head.slice(9, 12);
  }
}
