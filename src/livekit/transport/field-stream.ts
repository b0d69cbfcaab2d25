import { Buffer } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf';

/** LiveKit's own limit on a room's metadata is 64 KiB unless it is told otherwise. */
const LONGEST_FIELD = 4 * 1024 * 1024;
/** Longer than a room without much metadata. */
const MOST_FIELDS = 512;
/** So few that what is made of them is garbage before V8 takes it for something that stays. */
const FIELDS_AT_ONCE = 100;

/**
 * Cuts a protobuf message between its fields: each part is a message of the same type, and all of them together are
 * the whole, as https://protobuf.dev/programming-guides/encoding/#last-one-wins says.
 * @throws Error when it is none, ends within a field, or has one of over 4 MiB
 */
export async function* inWholeFields(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of chunks) {
    const first = rest.length === 0 ? rest : completed(rest, chunk);
    if (first === null) {
      rest = Buffer.concat([rest, chunk]);
      if (rest.length > LONGEST_FIELD) throw new Error('the answer has a field of over 4 MiB');
      continue;
    }
    if (first.length > 0) yield first;
    let from = first.length - rest.length;
    for (;;) {
      const end = from + endOfWholeFields(chunk.subarray(from), FIELDS_AT_ONCE);
      if (end === from) break;
      yield chunk.subarray(from, end);
      from = end;
    }
    rest = chunk.subarray(from);
  }
  if (rest.length > 0) throw new Error('the answer ends within a field');
}

/** The field that begins in `rest`, ended by the chunk; null when it goes on behind that. */
function completed(rest: Uint8Array, chunk: Uint8Array): Uint8Array | null {
  // A copy of each whole chunk would be as much again for V8 to keep until it collects all of its garbage.
  for (const size of [MOST_FIELDS, chunk.length]) {
    const bytes = Buffer.concat([rest, chunk.subarray(0, size)]);
    const end = endOfWholeFields(bytes, 1);
    if (end > 0) return bytes.subarray(0, end);
  }
  return null;
}

function endOfWholeFields(bytes: Uint8Array, atMost: number): number {
  const reader = new BinaryReader(bytes);
  let end = 0;
  try {
    for (let field = 0; field < atMost && reader.pos < reader.len; field += 1) {
      const [, type] = reader.tag();
      reader.skip(type);
      end = reader.pos;
    }
  } catch (error) {
    // It ends within a field.
    if (error instanceof RangeError) return end;
    throw error;
  }
  return end;
}
