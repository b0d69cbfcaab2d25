import { createSchema } from 'zod-openapi';
import { EventData } from '../../src/api/events/event-data.ts';
import { appRouter } from '../../src/api/router.ts';
import { openApiDocument } from '../../src/http/openapi.ts';
import { simplifySchema } from '../../src/http/openapi-schema.ts';

/** The part of JSON Schema that the OpenAPI document uses. */
interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly const?: string;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
}

/** The schemas of responses, and the objects in requests. The arguments of functions are written by hand. */
const ROOTS = [
  'CallDetails',
  'CallList',
  'CallEvents',
  'CancelledCall',
  'Cancellation',
  'CancellationList',
  'CancellationPreview',
  'ApiKey',
  'FoundCalls',
  'AgentList',
  'RoomDeletionList',
  'Health',
  'HealthHistory',
  'HealthFindings',
  'ApiKeyList',
  'ListedApiKey',
  'CreatedApiKey',
  'AdoptionPrefix',
  'AdoptionPrefixList',
  'RemovedAdoptionPrefix',
];
const INPUTS = [
  ['CreateCall', 'contact', 'Contact'],
  ['CreateCancellation', 'filter', 'CallFilter'],
] as const;

/** Names that read better than the name of the object around them. */
const NAMES: Readonly<Record<string, string>> = { CallEventsEvent: 'CallEvent' };

const HEADER = `"""The data of requests and responses, as in JSON. \`npm run generate:python\` writes this file."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

`;

const KEYWORDS = new Set([
  'from',
  'in',
  'is',
  'not',
  'or',
  'and',
  'if',
  'else',
  'for',
  'class',
  'def',
  'del',
]);
/** Only tRPC sends this event. */
const NOT_OVER_REST = 'opened';

/** Returns the Python types of the OpenAPI document. @throws Error for a schema that has no Python type here */
export function generateTypes(): string {
  const { components } = openApiDocument(appRouter, '0.0.0');
  const writer = new TypeWriter(JSON.parse(JSON.stringify(components?.schemas ?? {})));
  for (const name of ROOTS) writer.component(name);
  for (const [component, property, name] of INPUTS) writer.input(component, property, name);
  // The document has no schema of events, because server-sent events are text.
  const events = createSchema(EventData, { io: 'output', opts: { override: simplifySchema } });
  writer.union('HangupEvent', JSON.parse(JSON.stringify(events.components['Event'])));
  return HEADER + writer.declarations.join('\n\n');
}

class TypeWriter {
  readonly declarations: string[] = [];
  private readonly components: Readonly<Record<string, Schema>>;
  private readonly declared = new Set<string>();

  constructor(components: Readonly<Record<string, Schema>>) {
    this.components = components;
  }

  component(name: string): string {
    const schema = this.components[name];
    if (schema === undefined) throw new Error(`the OpenAPI document has no schema ${name}`);
    if (schema.properties !== undefined) return this.object(name, schema);
    if (!this.declared.has(name)) {
      const type = this.type(schema, name);
      this.add(name, `${name} = ${type}\n${doc(schema, '')}`);
    }
    return name;
  }

  input(component: string, property: string, name: string): void {
    const schema = this.components[component]?.properties?.[property];
    if (schema === undefined) throw new Error(`${component} has no property ${property}`);
    this.object(name, schema);
  }

  union(name: string, { oneOf = [] }: Schema): void {
    const variants = oneOf.flatMap((member) => {
      const type = member.properties?.['type']?.const;
      if (type === undefined) throw new Error(`${name}: a variant has no type`);
      return type === NOT_OVER_REST ? [] : [this.object(`${pascal(type)}Event`, member)];
    });
    if (variants.length === 0) throw new Error(`${name} has no variants`);
    this.add(name, `${name} = Union[\n${variants.map((variant) => `    ${variant},\n`).join('')}]\n`);
  }

  /** @param name the name of the type, if the schema is an object */
  private type(schema: Schema, name: string): string {
    const { $ref, anyOf, type } = schema;
    if ($ref !== undefined) return this.component($ref.replace('#/components/schemas/', ''));
    if (anyOf !== undefined) return anyOf.map((member) => this.type(member, name)).join(' | ');
    if (schema.const !== undefined) return `Literal["${schema.const}"]`;
    if (Array.isArray(type))
      return type.map((member: string) => this.type({ ...schema, type: member }, name)).join(' | ');
    if (schema.enum !== undefined) return `Literal[${schema.enum.map((value) => `"${value}"`).join(', ')}]`;
    switch (type) {
      case 'string':
        return 'str';
      case 'number':
        return 'float';
      case 'integer':
        return 'int';
      case 'boolean':
        return 'bool';
      case 'null':
        return 'None';
      case 'array':
        return `list[${this.type(schema.items ?? {}, name.replace(/s$/, ''))}]`;
      case 'object':
        return schema.properties === undefined ? 'dict[str, Any]' : this.object(name, schema);
      default:
        throw new Error(`${name}: no Python type for ${JSON.stringify(schema)}`);
    }
  }

  private object(givenName: string, schema: Schema): string {
    const name = NAMES[givenName] ?? givenName;
    if (this.declared.has(name)) return name;
    const { properties = {}, required = [] } = schema;
    const fields = Object.entries(properties).map(([field, value]) => ({
      field,
      type: this.type(value, name + pascal(field)),
      description: doc(value, '    '),
    }));
    const isTotal = required.length > 0;
    const optional = isTotal ? fields.filter(({ field }) => !required.includes(field)) : [];
    if (fields.some(({ field }) => KEYWORDS.has(field))) {
      const lines = fields.map(({ field, type }) => `        "${field}": "${type.replaceAll('"', "'")}",\n`);
      this.add(
        name,
        `${name} = TypedDict(\n    "${name}",\n    {\n${lines.join('')}    },\n    total=${isTotal ? 'True' : 'False'},\n)\n${doc(schema, '')}`,
      );
      return name;
    }
    const linesOf = (some: typeof fields) =>
      some.map(({ field, type, description }) => `    ${field}: ${type}\n${description}`);
    let lines = linesOf(fields);
    let base = isTotal ? 'TypedDict' : 'TypedDict, total=False';
    if (optional.length > 0) {
      // Python 3.10 has no NotRequired.
      const required = fields.filter((field) => !optional.includes(field));
      this.add(`_${name}`, `class _${name}(TypedDict):\n${linesOf(required).join('')}`);
      lines = linesOf(optional);
      base = `_${name}, total=False`;
    }
    const heading = doc(schema, '    ');
    this.add(name, `class ${name}(${base}):\n${heading && `${heading}\n`}${lines.join('')}`);
    return name;
  }

  private add(name: string, declaration: string): void {
    this.declared.add(name);
    this.declarations.push(declaration);
  }
}

const pascal = (name: string) =>
  name.replaceAll(/(?:^|[._])([a-z])/g, (_, letter: string) => letter.toUpperCase());

const doc = ({ description }: Schema, indent: string) =>
  description === undefined ? '' : `${indent}"""${description.replaceAll('"', "'")}"""\n`;
