import { z } from 'zod';

/** What a query string says of one input, as its schema would have it; what does not fit stays text, for zod to refuse. */
type Reader = (values: readonly string[]) => unknown;

/** Readers for each input of a procedure. */
export function queryReaders(input: z.ZodObject): ReadonlyMap<string, Reader> {
  return new Map(Object.entries(input.shape).map(([name, schema]) => [name, readerFor(unwrap(schema))]));
}

function readerFor(schema: z.core.$ZodType): Reader {
  if (schema instanceof z.ZodArray) return (values) => values;
  if (schema instanceof z.ZodNumber) {
    // Number() also reads "", "0x10" and "1e3".
    return (values) => {
      const value = oneOf(values);
      return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
    };
  }
  return oneOf;
}

/** A parameter given twice stays a list, which no single input accepts. */
const oneOf: Reader = (values) => (values.length === 1 ? values[0] : values);

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return unwrap(schema.unwrap());
  return schema;
}
