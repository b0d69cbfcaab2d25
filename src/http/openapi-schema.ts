import type { z } from 'zod';
import type { ZodOpenApiOverrideContext } from 'zod-openapi';

type Schema = z.core.JSONSchema.BaseSchema;

/**
 * Rewrites one JSON schema of the document, in place, into the subset that client generators support. The generators
 * are in scripts/test-clients.ts. zod still checks requests, so no check is lost.
 */
export function simplifySchema({
  jsonSchema,
  io,
}: Pick<ZodOpenApiOverrideContext, 'jsonSchema' | 'io'>): void {
  removeImpliedChecks(jsonSchema);
  mergeUnion(jsonSchema);
  if (io === 'input') {
    describeDefault(jsonSchema);
    // zod passes a default next to a $ref only with the object that contains both.
    for (const property of Object.values(jsonSchema.properties ?? {})) {
      if (typeof property === 'object') describeDefault(property);
    }
  }
  // A client must accept a field that a later version adds.
  if (io === 'output' && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
}

function removeImpliedChecks(schema: Schema): void {
  // openapi-generator's Python client applies the pattern to the parsed date, and rejects each response.
  if (schema.format === 'date-time' || schema.format === 'date') delete schema.pattern;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
  // openapi-generator's Java client makes an enum of strings of a boolean constant.
  if (schema.type === 'boolean') delete schema.const;
  // JSON keys are always strings.
  delete schema.propertyNames;
  // openapi-generator's Go client uses pointers to values for {}.
  if (isEmpty(schema.additionalProperties)) schema.additionalProperties = true;
}

function isEmpty(schema: Schema['additionalProperties']): boolean {
  return typeof schema === 'object' && Object.keys(schema).length === 0;
}

/** Merges a simple type and null into one schema, because generators make a class of each `anyOf`. */
function mergeUnion(schema: Schema): void {
  const { anyOf, ...rest } = schema;
  if (anyOf === undefined) return;
  for (const member of anyOf) removeImpliedChecks(member);
  const [first, second] = anyOf;
  if (anyOf.length === 2 && isSimple(first) && second?.type === 'null') {
    delete schema.anyOf;
    Object.assign(schema, first, rest, { type: [first.type, 'null'] });
  }
}

function isSimple(schema: Schema | undefined): schema is Schema & { type: string } {
  return typeof schema?.type === 'string' && schema.type !== 'object' && schema.enum === undefined;
}

/** Moves the default to the description: `default` in a request makes openapi-typescript require the field. */
function describeDefault(schema: Schema): void {
  if (schema.default === undefined) return;
  const sentence = `Default: ${schema.default}.`;
  schema.description = schema.description === undefined ? sentence : `${schema.description} ${sentence}`;
  delete schema.default;
}
