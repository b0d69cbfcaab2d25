import { z } from 'zod';
import { badRequest, unrecognized } from '../api/errors.ts';
import { plusSigns } from '../api/text.ts';

/** Decodes the values of one parameter for its schema; what does not fit stays text, for zod to refuse. */
type Reader = (raw: readonly string[]) => unknown;

/** By the name that a query string uses: `status` and, because a list is accepted, `status[]`. */
export type QueryReaders = ReadonlyMap<string, { readonly input: string; readonly read: Reader }>;

/** Readers for these inputs of a procedure. */
export function queryReaders(input: z.ZodObject, names: readonly string[]): QueryReaders {
  return new Map(
    names.flatMap((name) => {
      const schema = unwrap(input.shape[name]);
      const reader = { input: name, read: readerFor(schema) };
      const isList = schema instanceof z.ZodArray;
      return [[name, reader] as const, ...(isList ? [[`${name}[]`, reader] as const] : [])];
    }),
  );
}

/**
 * The inputs in a query string.
 * @throws TRPCError 400 that names a parameter without a reader, or one that is not percent-encoded UTF-8
 */
export function readQuery(readers: QueryReaders, search: string): Record<string, unknown> {
  const pairs = splitQuery(search);
  const unknown = pairs.map(({ name }) => name).filter((name) => !readers.has(name));
  if (unknown.length > 0) throw badRequest(unrecognized([...new Set(unknown)]));
  const inputs = new Map<string, { readonly read: Reader; readonly raw: string[] }>();
  for (const { name, raw } of pairs) {
    const reader = readers.get(name);
    if (reader === undefined) continue;
    const { input, read } = reader;
    const given = inputs.get(input) ?? { read, raw: [] };
    given.raw.push(raw);
    inputs.set(input, given);
  }
  return Object.fromEntries([...inputs].map(([input, { read, raw }]) => [input, decoded(input, read, raw)]));
}

function decoded(input: string, read: Reader, raw: readonly string[]): unknown {
  try {
    return read(raw);
  } catch (error) {
    if (error instanceof URIError) throw badRequest(`${input}: expected percent-encoded UTF-8`);
    throw error;
  }
}

/** @throws TRPCError 400 for a name that is not percent-encoded UTF-8 */
export function splitQuery(search: string): { readonly name: string; readonly raw: string }[] {
  return search
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      const [name, raw] = at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
      try {
        return { name: decodeText(name), raw };
      } catch {
        throw badRequest(`${unrecognized([name])} is not percent-encoded UTF-8`);
      }
    });
}

/** @throws URIError */
export function decodeText(raw: string): string {
  return decodeURIComponent(raw.replaceAll('+', ' '));
}

function readerFor(schema: z.core.$ZodType | undefined): Reader {
  const plus = schema === undefined ? undefined : plusSigns.get(schema)?.where;
  const decode = (raw: string) =>
    decodeText(plus === undefined ? raw : raw.replaceAll(plus === 'first' ? /^\+/g : '+', '%2B'));
  if (schema instanceof z.ZodArray) return (raw) => raw.map(decode);
  // A parameter that is given twice stays a list, which no single input accepts.
  const readOne = (raw: readonly string[]) =>
    raw.length === 1 && raw[0] !== undefined ? decode(raw[0]) : raw.map(decode);
  if (!(schema instanceof z.ZodNumber)) return readOne;
  // Number() also reads "", "0x10" and "1e3".
  return (raw) => {
    const value = readOne(raw);
    return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  };
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  return schema;
}
