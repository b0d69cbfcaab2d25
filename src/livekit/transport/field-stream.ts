import { Buffer } from 'node:buffer';
import { FieldReader, PrematureEndError } from './field-reader.ts';

/** LiveKit limits a room's metadata to 64 KiB by default. */
const MAX_FIELD_BYTES = 4 * 1024 * 1024;
/** Longer than a room without much metadata. */
const FIRST_TRY_BYTES = 512;
/** Small enough that V8 collects the parsed objects as young garbage. */
const FIELDS_PER_PART = 250;

/**
 * Splits a protobuf message at field boundaries, for lists of many thousand rooms. Each part is a message of the same
 * type, and the parts together equal the message: https://protobuf.dev/programming-guides/encoding/#last-one-wins
 * @throws Error if the bytes are not protobuf, end within a field, or have a field over 4 MiB
 */
export async function* splitAtFieldBoundaries(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array = new Uint8Array();
  for await (const chunk of chunks) {
    const first = pending.length === 0 ? pending : completeField(pending, chunk);
    if (first === null) {
      pending = Buffer.concat([pending, chunk]);
      if (pending.length > MAX_FIELD_BYTES) throw new Error('the response has a field over 4 MiB');
      continue;
    }
    if (first.length > 0) yield first;
    let start = first.length - pending.length;
    for (;;) {
      const end = start + lastFieldBoundary(chunk.subarray(start), FIELDS_PER_PART);
      if (end === start) break;
      yield chunk.subarray(start, end);
      start = end;
    }
    pending = chunk.subarray(start);
  }
  if (pending.length > 0) throw new Error('the response ends within a field');
}

/** Returns the field that starts in `pending` and ends in `chunk`; null if it ends later. */
function completeField(pending: Uint8Array, chunk: Uint8Array): Uint8Array | null {
  // A copy of each chunk would double the memory until the next full garbage collection.
  for (const size of [FIRST_TRY_BYTES, chunk.length]) {
    const bytes = Buffer.concat([pending, chunk.subarray(0, size)]);
    const end = lastFieldBoundary(bytes, 1);
    if (end > 0) return bytes.subarray(0, end);
  }
  return null;
}

/** Returns the end of the last complete field among the first `maxFields`; 0 if no field is complete. */
function lastFieldBoundary(bytes: Uint8Array, maxFields: number): number {
  const reader = new FieldReader(bytes);
  let end = 0;
  try {
    for (let field = 0; field < maxFields && !reader.isAtEnd; field += 1) {
      reader.skip(reader.tag());
      end = reader.position;
    }
  } catch (error) {
    if (error instanceof PrematureEndError) return end;
    throw error;
  }
  return end;
}
