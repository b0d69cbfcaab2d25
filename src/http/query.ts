import { z } from 'zod';
import { badRequest, unrecognizedKeys } from '../api/errors.ts';
import { plusSigns } from '../api/validators.ts';

/** Decodes the values of one parameter. A text that does not match the schema's type stays a text, which zod rejects. */
type QueryParser = (raw: readonly string[]) => unknown;

/** The parsers by the name in the query string: `status` and, for a list, also `status[]`. */
export type QueryParsers = ReadonlyMap<string, { readonly input: string; readonly parse: QueryParser }>;

/** Returns the parsers of these inputs of a procedure. */
export function createQueryParsers(input: z.ZodObject, names: readonly string[]): QueryParsers {
  return new Map(
    names.flatMap((name) => {
      const schema = unwrap(input.shape[name]);
      const parser = { input: name, parse: parserFor(schema) };
      const isList = schema instanceof z.ZodArray;
      return [[name, parser] as const, ...(isList ? [[`${name}[]`, parser] as const] : [])];
    }),
  );
}

/**
 * Returns the inputs in a query string.
 * @throws TRPCError 400 that names an unknown parameter, or a parameter that is not percent-encoded UTF-8
 */
export function parseQuery(parsers: QueryParsers, search: string): Record<string, unknown> {
  const pairs = splitQuery(search);
  const unknown = pairs.map(({ name }) => name).filter((name) => !parsers.has(name));
  if (unknown.length > 0) throw badRequest(unrecognizedKeys([...new Set(unknown)]));
  const inputs = new Map<string, { readonly parse: QueryParser; readonly raw: string[] }>();
  for (const { name, raw } of pairs) {
    const parser = parsers.get(name);
    if (parser === undefined) continue;
    const { input, parse } = parser;
    const values = inputs.get(input) ?? { parse, raw: [] };
    values.raw.push(raw);
    inputs.set(input, values);
  }
  return Object.fromEntries(
    [...inputs].map(([input, { parse, raw }]) => [input, parseValues(input, parse, raw)]),
  );
}

function parseValues(input: string, parse: QueryParser, raw: readonly string[]): unknown {
  try {
    return parse(raw);
  } catch (error) {
    if (error instanceof URIError) throw badRequest(`${input}: expected percent-encoded UTF-8`);
    throw error;
  }
}

/**
 * Splits a query string into decoded names and raw values.
 * @throws TRPCError 400 for a name that is not percent-encoded UTF-8
 */
export function splitQuery(search: string): { readonly name: string; readonly raw: string }[] {
  return search
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const separator = part.indexOf('=');
      const [name, raw] = separator < 0 ? [part, ''] : [part.slice(0, separator), part.slice(separator + 1)];
      try {
        return { name: decodeText(name), raw };
      } catch {
        throw badRequest(`${unrecognizedKeys([name])} is not percent-encoded UTF-8`);
      }
    });
}

/**
 * Decodes a name or a value of a query string.
 * @throws URIError
 */
export function decodeText(raw: string): string {
  return decodeURIComponent(raw.replaceAll('+', ' '));
}

function parserFor(schema: z.core.$ZodType | undefined): QueryParser {
  const plus = schema === undefined ? undefined : plusSigns.get(schema)?.where;
  const decode = (raw: string) =>
    decodeText(plus === undefined ? raw : raw.replaceAll(plus === 'first' ? /^\+/g : '+', '%2B'));
  if (schema instanceof z.ZodArray) return (raw) => raw.map(decode);
  // A repeated parameter stays a list, which the schema of a single value rejects.
  const single = (raw: readonly string[]) =>
    raw.length === 1 && raw[0] !== undefined ? decode(raw[0]) : raw.map(decode);
  if (!(schema instanceof z.ZodNumber)) return single;
  // Number() also accepts "", "0x10" and "1e3".
  return (raw) => {
    const value = single(raw);
    return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  };
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  return schema;
}
