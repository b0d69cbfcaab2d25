import { Buffer } from 'node:buffer';

/** Types of the wire format: the last three bits of a tag. */
export const VARINT = 0;
const FIXED_64 = 1;
export const BYTES = 2;
const START_GROUP = 3;
const END_GROUP = 4;
const FIXED_32 = 5;

const MAX_VARINT_BYTES = 10;

/** The bytes end within a field: more bytes may complete the field. */
export class PrematureEndError extends Error {
  override readonly name = 'PrematureEndError';
}

/**
 * Reads the fields of a protobuf message: https://protobuf.dev/programming-guides/encoding. The BinaryReader of
 * @bufbuild/protobuf takes several times as long, because it creates objects for each field.
 * Each method throws PrematureEndError where the bytes end, and Error where they are not protobuf.
 */
export class FieldReader {
  position = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.position >= this.#bytes.length;
  }

  /** Returns the number and the type of the next field, as `number * 8 + type`. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag >= 2 ** 32) throw new Error(`invalid protobuf: ${tag} is not a tag`);
    return tag;
  }

  /** Returns an unsigned number, which is rounded above 2^53. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < MAX_VARINT_BYTES; i += 1) {
      const byte = this.#bytes[this.position];
      if (byte === undefined) throw new PrematureEndError('the protobuf ends within a field');
      this.position += 1;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 && (i < MAX_VARINT_BYTES - 1 || byte < 2)) return value;
      scale *= 0x80;
    }
    throw new Error('invalid protobuf: a varint has more than 64 bits');
  }

  /** Returns a signed number, which is rounded beyond 53 bits: a small negative number becomes 0. */
  int64(): number {
    const value = this.varint();
    return value < 2 ** 63 ? value : value - 2 ** 64;
  }

  /** Reads the length of a field of type BYTES. Returns the position after the field. */
  endOfBytes(): number {
    const length = this.varint();
    return this.#assertEnd(this.position + length);
  }

  string(): string {
    const end = this.endOfBytes();
    const text = this.#bytes.toString('utf8', this.position, end);
    this.position = end;
    return text;
  }

  /** Skips the value of a field. @param tag the tag of the field */
  skip(tag: number): void {
    switch (tag & 7) {
      case VARINT:
        this.varint();
        break;
      case BYTES:
        this.position = this.endOfBytes();
        break;
      case FIXED_64:
        this.position = this.#assertEnd(this.position + 8);
        break;
      case FIXED_32:
        this.position = this.#assertEnd(this.position + 4);
        break;
      case START_GROUP:
        this.#skipGroup(tag);
        break;
      default:
        throw new Error(`invalid protobuf: a field has the wire type ${tag & 7}`);
    }
  }

  #skipGroup(start: number): void {
    const open = [start];
    while (open.length > 0) {
      const tag = this.tag();
      if ((tag & 7) === START_GROUP) open.push(tag);
      else if ((tag & 7) !== END_GROUP) this.skip(tag);
      else if (open.pop() !== tag - END_GROUP + START_GROUP) {
        throw new Error('invalid protobuf: a group ends that did not start');
      }
    }
  }

  #assertEnd(end: number): number {
    if (end > this.#bytes.length) throw new PrematureEndError('the protobuf ends within a field');
    return end;
  }
}
