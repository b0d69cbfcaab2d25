import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { appRouter } from '../../src/api/router.ts';
import { collectRoutes, type Route } from '../../src/http/routes.ts';
import { readAnswer } from '../harness/event-stream.ts';
import { type Hangup, startHangup } from '../harness/hangup.ts';
import { WAIT } from '../harness/time.ts';

/* An unknown name, in any place of any request, is a 400 that contains the name, and changes nothing. */

let calls = 0;
/** Required inputs. Each test has its own live call, cancellation, API key and adoption prefix. */
const needed = (): Record<string, string> => ({
  callId: `live-${calls}`,
  id: `can-${calls}`,
  keyId: `key-${calls}`,
  prefix: `prefix-${calls}`,
});
/** The inputs of procedures that require others. */
const NEEDED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'calls.search': { text: 'live' },
  'cancellations.create': { filter: { agentId: 'nobody' }, reason: 'test', dryRun: true },
  'apiKeys.create': { name: 'test', scopes: ['calls:read'] },
};

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

/** A place for names in a request that is valid without the unknown name. */
interface Place {
  readonly title: string;
  /** Names that are valid in this place. */
  readonly validNames: readonly string[];
  /** Returns the request with a name in this place; null: the valid request. */
  request(extra: { readonly name: string; readonly value: unknown } | null): Request;
}

const RESERVED = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  'toJSON',
  'then',
  'length',
  'name',
  '0',
  '-1',
  'null',
  'undefined',
  'input',
  'batch',
  'json',
  'meta',
  'organizationId',
  'apiKey',
  'x-api-key',
  'page',
  'q',
  '_',
  '$where',
  'a.b',
  'ключ',
  '😀',
];

/** Returns common mistakes that people and libraries make in a name. */
function misspellings(name: string): string[] {
  const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return [
    name.toUpperCase(),
    name.toLowerCase(),
    name.charAt(0).toUpperCase() + name.slice(1),
    snake,
    snake.replaceAll('_', '-'),
    `${name}s`,
    name.slice(0, -1),
    name.slice(1),
    `${name}[]`,
    `${name}[0]`,
    `${name}[eq]`,
    `${name}.eq`,
    ` ${name}`,
    `${name} `,
    `filter[${name}]`,
  ];
}

const withExtra = (inputs: object, extra: Parameters<Place['request']>[0]) =>
  // Not by assignment, which treats __proto__ as the prototype.
  JSON.stringify({ ...inputs, ...(extra && Object.fromEntries([[extra.name, extra.value]])) });

const asQuery = (inputs: Record<string, unknown>) =>
  Object.entries(inputs)
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join('&');

const inQuery = (extra: Parameters<Place['request']>[0]) =>
  extra === null ? '' : `${encodeURIComponent(extra.name)}=${encodeURIComponent(String(extra.value))}`;

function neededOf({ procedure, input }: Pick<Route, 'procedure' | 'input'>): Record<string, unknown> {
  const given = NEEDED[procedure] ?? pickNeeded(input);
  if (!input.safeParse(given).success) throw new Error('give the inputs that this endpoint requires');
  return given;
}

/** Returns the input with an object inside it, which has one more name. */
function withNested(
  inputs: Record<string, unknown>,
  name: string,
  extra: Parameters<Place['request']>[0],
): string {
  const others = Object.entries(inputs).filter(([other]) => other !== name);
  const nested = `${JSON.stringify(name)}:${withExtra(inputs[name] ?? {}, extra)}`;
  return `{${[...others.map(([other, value]) => `${JSON.stringify(other)}:${JSON.stringify(value)}`), nested].join()}}`;
}

function pickNeeded(input: z.ZodObject): Record<string, unknown> {
  // A call may have an id of its own, which is not required.
  return Object.fromEntries(
    Object.entries(needed()).filter(([name]) => input.shape[name]?.safeParse(undefined).success === false),
  );
}

/** Returns the objects inside an input, with their names. */
function nestedOf(input: z.ZodObject): [name: string, nested: z.ZodObject][] {
  return Object.entries(input.shape).flatMap(([name, schema]) => {
    const inner = schema instanceof z.ZodOptional ? schema.unwrap() : schema;
    return inner instanceof z.ZodObject ? [[name, inner]] : [];
  });
}

function restPlaces({ rest, procedure, input, pathParameters }: Route): Place[] {
  const { method } = rest;
  const inBody = Object.fromEntries(
    Object.entries(neededOf({ procedure, input })).filter(([name]) => !pathParameters.includes(name)),
  );
  const path = () =>
    `/api/v1${rest.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => needed()[name] ?? '')}`;
  const { headers = {}, queryHeaders = [] } = rest;
  const elsewhere = [
    ...pathParameters,
    ...Object.values(headers).filter((name) => !queryHeaders.includes(name)),
  ];
  const names = Object.keys(input.shape).filter((name) => !elsewhere.includes(name));
  const lists = names.filter((name) => {
    const schema = input.shape[name];
    return (schema instanceof z.ZodOptional ? schema.unwrap() : schema) instanceof z.ZodArray;
  });
  const query: Place = {
    title: `${method} ${rest.path}, query`,
    validNames: method === 'POST' ? [] : [...names, ...lists.map((name) => `${name}[]`)],
    request: (extra) => ({
      method,
      path: `${path()}?${[...(method === 'GET' ? [asQuery(inBody)] : []), inQuery(extra)].filter((part) => part !== '').join('&')}`,
      ...(method === 'POST' && { body: JSON.stringify(inBody) }),
    }),
  };
  if (method === 'GET') return [query];
  return [
    query,
    {
      title: `${method} ${rest.path}, body`,
      validNames: names,
      request: (extra) => ({ method, path: path(), body: withExtra(inBody, extra) }),
    },
    ...nestedOf(input).map(
      ([name, nested]): Place => ({
        title: `${method} ${rest.path}, ${name} in the body`,
        validNames: Object.keys(nested.shape),
        request: (extra) => ({ method, path: path(), body: withNested(inBody, name, extra) }),
      }),
    ),
  ];
}

function trpcPlaces({ procedure, type, input }: Route): Place[] {
  const inputs = () => neededOf({ procedure, input });
  const send = (inputs: string, query = ''): Request =>
    type !== 'mutation'
      ? {
          method: 'GET',
          path: `/trpc/${procedure}?input=${encodeURIComponent(inputs)}${query && `&${query}`}`,
        }
      : { method: 'POST', path: `/trpc/${procedure}?${query}`, body: inputs };
  const isAnyNeeded = Object.keys(inputs()).length > 0;
  return [
    {
      title: `${procedure}, input`,
      // An input with only these names comes from superjson, and has its own error.
      validNames: [...Object.keys(input.shape), ...(isAnyNeeded ? [] : ['json', 'meta'])],
      request: (extra) => send(withExtra(inputs(), extra)),
    },
    {
      title: `${procedure}, query`,
      validNames: type !== 'mutation' ? ['input', 'batch'] : ['batch'],
      request: (extra) => send(JSON.stringify(inputs()), inQuery(extra)),
    },
    // A batch has no subscription.
    ...(type === 'subscription'
      ? []
      : [
          {
            title: `${procedure}, indexes of a batch`,
            validNames: ['0'],
            request: (extra: Parameters<Place['request']>[0]) =>
              send(withExtra({ 0: inputs() }, extra), 'batch=1'),
          },
        ]),
    ...nestedOf(input).map(
      ([name, nested]): Place => ({
        title: `${procedure}, ${name} in the input`,
        validNames: Object.keys(nested.shape),
        request: (extra) => send(withNested(inputs(), name, extra)),
      }),
    ),
  ];
}

const OPEN: Place[] = ['/openapi.json', '/metrics'].map((path) => ({
  title: `GET ${path}, query`,
  validNames: [],
  request: (extra) => ({ method: 'GET', path: `${path}?${inQuery(extra)}` }),
}));

const ROUTES = collectRoutes(appRouter);
const PLACES = [...ROUTES.flatMap((route) => [...restPlaces(route), ...trpcPlaces(route)]), ...OPEN];
const INPUT_NAMES = [...new Set(ROUTES.flatMap(({ input }) => Object.keys(input.shape)))];
const FIXED = [...RESERVED, ...INPUT_NAMES, ...INPUT_NAMES.flatMap(misspellings)];

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

async function send({ method, path, body }: Request) {
  const response = await fetch(hangup.url + path, {
    method,
    headers: { 'x-api-key': hangup.key, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body }),
  });
  return readAnswer(response);
}

/** Tables that change without a change of a call: the last use of keys, heartbeats, counts of requests. */
const CHANGED_BY_REQUESTS = ['api_keys', 'fleet_members', 'rate_limits'];

/** Returns every row of the other tables. */
async function record(): Promise<unknown> {
  const tables = await hangup.readTables();
  return [...tables].filter(([name]) => !CHANGED_BY_REQUESTS.includes(name));
}

/** Records a completed cancellation of no call. */
async function startCancellation(id: string): Promise<void> {
  const { store, organizationId } = hangup;
  const [apiKey] = await store.listApiKeys();
  if (apiKey === undefined) throw new Error('no API key');
  await store.createCancellation({
    cancellation: {
      id,
      organizationId,
      reason: 'test',
      createdBy: apiKey.id,
      selector: { filter: { agentId: 'nobody' } },
      hasHold: true,
    },
    expectedAtMost: null,
    isDryRun: false,
    idempotency: null,
  });
  await store.advanceCancellation({ id, limit: 1, budgetMs: 1_000 });
}

/** Records a discarded room deletion of a call. */
async function discardDeletion(callId: string): Promise<void> {
  await hangup.sql(`INSERT INTO room_deletions (call_id, room_name, state, attempt, scheduled_at, finalized_at, created_at)
    VALUES ('${callId}', '${callId}', 'discarded', 0, 1, 1, 1)`);
}

/** Expects a 400 whose message is about this name only. */
async function assertRefused(place: Place, extra: { name: string; value: unknown }): Promise<void> {
  const { status, text } = await send(place.request(extra));
  const named = `Unrecognized key: ${JSON.stringify(extra.name.slice(0, 64))}`;
  expect({ status, text }).toEqual({
    status: 400,
    text: expect.stringContaining(JSON.stringify(named).slice(1, -1)),
  });
}

test('the tested places are those of every procedure and of every other path', () => {
  const procedures = Object.keys(appRouter._def.procedures);
  expect(new Set(ROUTES.map(({ procedure }) => procedure))).toEqual(new Set(procedures));
  expect(PLACES.length).toBeGreaterThan(20);
});

describe.each(PLACES)('$title', (place) => {
  beforeEach(async () => {
    calls += 1;
    await hangup.insertCall({ id: `live-${calls}` });
    await startCancellation(`can-${calls}`);
    // The attempt that an earlier retry has started ends first.
    await expect.poll(() => hangup.store.countOpenDeletions(), WAIT).toBe(0);
    if (place.title.includes('retry')) await discardDeletion(`live-${calls}`);
    const organization = { organizationName: 'acme', organizationIdIfNew: 'org', now: 1 };
    const key = { id: `key-${calls}`, name: 'test', scopes: [], expiresAt: null };
    const hash = String(calls).padStart(64, '0');
    await hangup.store.createApiKey({ ...organization, ...key, hash });
    await hangup.store.addAdoptionPrefix({ ...organization, prefix: `prefix-${calls}` });
  });
  const isUnknown = (name: string) => !place.validNames.includes(name);

  test('returns 400 with the name, and changes nothing, when a name is reserved or misspelt', async () => {
    const before = await record();
    for (const name of FIXED.filter(isUnknown)) await assertRefused(place, { name, value: 'x' });
    expect(await record()).toEqual(before);
  });

  test('returns 400 with the name when a name is unknown', async () => {
    const before = await record();
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', maxLength: 70 }).filter(isUnknown),
        fc.constantFrom<unknown>('x', '', 0, null, true, { callId: 'live' }, ['live']),
        (name, value) => assertRefused(place, { name, value }),
      ),
      { numRuns: 30 },
    );
    expect(await record()).toEqual(before);
  });

  test('accepts the same request without the name', async () => {
    expect((await send(place.request(null))).status).toBeLessThan(300);
  });
});
