import { Buffer } from 'node:buffer';
import { BinaryReader } from '@bufbuild/protobuf';

/** LiveKit's own limit on a room's metadata is 64 KiB unless it is told otherwise. */
const LONGEST_FIELD = 4 * 1024 * 1024;
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
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (;;) {
      const end = from + endOfWholeFields(bytes.subarray(from));
      if (end === from) break;
      yield bytes.subarray(from, end);
      from = end;
    }
    rest = bytes.subarray(from);
    if (rest.length > LONGEST_FIELD) throw new Error(`the answer has a field of over ${LONGEST_FIELD} bytes`);
  }
  if (rest.length > 0) throw new Error('the answer ends within a field');
}

function endOfWholeFields(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes);
  let end = 0;
  try {
    for (let field = 0; field < FIELDS_AT_ONCE && reader.pos < reader.len; field += 1) {
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
