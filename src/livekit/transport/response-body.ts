/** Bytes that wait for the reader. Beyond them the socket is paused. */
const HIGH_WATER_BYTES = 64 * 1024;

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

/** A response body that one reader reads while it arrives. */
export class ResponseBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #source: { pause(): void; resume(): void };
  readonly #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #isPaused = false;
  #isEnded = false;
  #failure: Error | null = null;
  #reader: PromiseWithResolvers<IteratorResult<Uint8Array>> | null = null;

  /** @param source is paused while more than 64 KiB wait for the reader */
  constructor(source: { pause(): void; resume(): void }) {
    this.#source = source;
  }

  push(value: Uint8Array): void {
    const reader = this.#takeReader();
    if (reader !== null) {
      reader.resolve({ done: false, value });
      return;
    }
    this.#chunks.push(value);
    this.#waitingBytes += value.length;
    if (this.#waitingBytes < HIGH_WATER_BYTES || this.#isPaused) return;
    this.#isPaused = true;
    this.#source.pause();
  }

  end(): void {
    this.#isEnded = true;
    // The source belongs to the next response from here on.
    this.#isPaused = false;
    this.#takeReader()?.resolve(DONE);
  }

  /** Discards the bytes that were not read. Without effect when the body is read to its end. */
  fail(error: Error): void {
    if (this.#isEnded && this.#chunks.length === 0) return;
    this.#failure = error;
    this.#takeReader()?.reject(error);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#failure !== null) throw this.#failure;
    const value = this.#chunks.shift();
    if (value !== undefined) {
      this.#waitingBytes -= value.length;
      if (this.#isPaused && this.#waitingBytes < HIGH_WATER_BYTES) {
        this.#isPaused = false;
        this.#source.resume();
      }
      return { done: false, value };
    }
    if (this.#isEnded) return DONE;
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  #takeReader(): PromiseWithResolvers<IteratorResult<Uint8Array>> | null {
    const reader = this.#reader;
    this.#reader = null;
    return reader;
  }
}
