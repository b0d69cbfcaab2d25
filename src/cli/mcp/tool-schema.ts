import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { formatFirstIssue } from '../../api/errors.ts';
import { simplifySchema } from '../../http/openapi-schema.ts';
import { ToolRefusal } from './tool-error.ts';

/** Returns the schema of a tool's arguments, without a check: the error of the SDK would be text without fields. */
export function toArguments(schema: z.ZodType): StandardSchemaWithJSON<unknown> {
  return toStandardSchema(toJsonSchema(schema, 'input'), (value) => ({ value }));
}

/**
 * Checks arguments as the API does, and returns them unchanged, because the server parses them again.
 * @throws ToolRefusal with the name of a wrong argument
 */
export function checkArguments<Schema extends z.ZodType>(schema: Schema, value: unknown): z.input<Schema> {
  const { error } = schema.safeParse(value);
  if (error !== undefined) throw new ToolRefusal('bad_request', formatFirstIssue(error));
  return value as z.input<Schema>;
}

/** Returns the schema of a tool's result. Nothing checks the result again: it is a parsed response of the API. */
export function toResult<Schema extends z.ZodType>(schema: Schema): StandardSchemaWithJSON<z.output<Schema>> {
  return toStandardSchema(toJsonSchema(schema, 'output'), (value) => ({ value: value as z.output<Schema> }));
}

function toStandardSchema<Value>(
  jsonSchema: Record<string, unknown>,
  validate: StandardSchemaWithJSON<Value>['~standard']['validate'],
): StandardSchemaWithJSON<Value> {
  const convert = () => jsonSchema;
  return {
    '~standard': { version: 1, vendor: 'hangup', validate, jsonSchema: { input: convert, output: convert } },
  };
}

/** Returns a JSON schema without references and patterns, which some MCP clients do not support. */
function toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  const {
    $schema: _,
    $defs = {},
    ...root
  } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      Object.assign(jsonSchema, jsonSchema['override']);
      delete jsonSchema['override'];
      simplifySchema({ jsonSchema, io });
      delete jsonSchema.pattern;
    },
  });
  return inlineReferences(root, new Map(Object.entries($defs)));
}

/** Returns a copy of a schema in which the definitions replace the references. No schema refers to itself. */
function inlineReferences(schema: object, definitions: ReadonlyMap<string, object>): Record<string, unknown> {
  const { $ref, ...own } = { $ref: undefined, ...schema };
  const definition = definitions.get(String($ref).replace('#/$defs/', ''));
  const inline = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inline);
    return typeof value === 'object' && value !== null ? inlineReferences(value, definitions) : value;
  };
  const entries = Object.entries({ ...definition, ...own });
  return Object.fromEntries(entries.map(([name, value]) => [name, inline(value)]));
}
