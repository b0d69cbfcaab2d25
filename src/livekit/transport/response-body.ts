/** A response body that is read while it arrives. */
export interface ResponseBody extends AsyncIterable<Uint8Array> {
  push(bytes: Uint8Array): void;
  end(): void;
  /** Discards the bytes that were not read. Without effect when the body is read to its end. */
  fail(error: Error): void;
}

/** Bytes that wait for the reader. Beyond them the socket is paused. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Creates the body of one response, for one reader. @param flow pauses and resumes the source */
export function createResponseBody(flow: { pause(): void; resume(): void }): ResponseBody {
  const chunks: Uint8Array[] = [];
  let waitingBytes = 0;
  let isPaused = false;
  let isEnded = false;
  let failure: Error | null = null;
  let reader: PromiseWithResolvers<IteratorResult<Uint8Array>> | null = null;

  function takeReader() {
    const taken = reader;
    reader = null;
    return taken;
  }

  async function next(): Promise<IteratorResult<Uint8Array>> {
    if (failure !== null) throw failure;
    const value = chunks.shift();
    if (value !== undefined) {
      waitingBytes -= value.length;
      if (isPaused && waitingBytes < HIGH_WATER_BYTES) {
        isPaused = false;
        flow.resume();
      }
      return { done: false, value };
    }
    if (isEnded) return DONE;
    reader = Promise.withResolvers();
    return reader.promise;
  }

  return {
    push(value) {
      const waiting = takeReader();
      if (waiting !== null) {
        waiting.resolve({ done: false, value });
        return;
      }
      chunks.push(value);
      waitingBytes += value.length;
      if (waitingBytes < HIGH_WATER_BYTES || isPaused) return;
      isPaused = true;
      flow.pause();
    },
    end() {
      isEnded = true;
      takeReader()?.resolve(DONE);
    },
    fail(error) {
      if (isEnded && chunks.length === 0) return;
      failure = error;
      takeReader()?.reject(error);
    },
    [Symbol.asyncIterator]: () => ({ next }),
  };
}

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };
