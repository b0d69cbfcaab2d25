import { readFileSync } from 'node:fs';
import type {
  AdoptionPrefix,
  AdoptionPrefixList,
  ApiKey,
  ApiKeyList,
  AppRouter,
  CallDetails,
  CallEvents,
  CallList,
  CancelCallInput,
  Cancellation,
  CancellationInput,
  CancellationList,
  CancellationPreview,
  CancelledCall,
  CreateApiKeyInput,
  CreateCallInput,
  CreateCancellationInput,
  CreatedApiKey,
  ListCallEventsInput,
  ListCallsInput,
  ListCancellationsInput,
  ListedApiKey,
  RemovedAdoptionPrefix,
  StreamEvent,
  StreamEventsInput,
} from '@hangup/client';
import { createTRPCClient, httpBatchLink } from '@trpc/client';
import type { inferRouterInputs, inferRouterOutputs } from '@trpc/server';
import type { AppRouter as ServerRouter } from 'hangup';
import { expect, onTestFinished, test } from 'vitest';
import { API_TYPES_FILE, generateApiTypes } from '../../scripts/typescript-client/api-types.ts';
import { compileClient as compile } from '../harness/compile.ts';
import { startHangup } from '../harness/hangup.ts';

/* tsc checks the assertions on types: a schema of the server that differs from a type of the client is an error here. */

type Equal<A, B> =
  (<T>() => T extends Plain<A> ? 1 : 2) extends <T>() => T extends Plain<B> ? 1 : 2 ? true : false;
/** Without readonly, and with one object instead of an intersection. */
type Plain<T> = T extends readonly (infer Item)[]
  ? Plain<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Plain<T[Key]> }
    : T;
const assertEqual = <A, B>(_: Equal<A, B>) => {};

type Inputs = inferRouterInputs<ServerRouter>;
type Outputs = inferRouterOutputs<ServerRouter>;
/** An input without the parts that are in the path or in a header, and without those of infinite queries. */
type Rest<Input, Path extends string = never> = Omit<Input, Path | 'idempotencyKey'>;
type Streamed = Outputs['events']['stream'] extends AsyncIterable<infer Message> ? Message : never;
type StreamedData = Streamed extends { data: infer Data } ? Data : never;

test('the types of the client are those of the server', () => {
  assertEqual<CallDetails, Outputs['calls']['get']>(true);
  assertEqual<CallDetails, Outputs['calls']['create']>(true);
  assertEqual<CallList, Outputs['calls']['list']>(true);
  assertEqual<CallEvents, Outputs['calls']['events']>(true);
  assertEqual<CancelledCall, Outputs['calls']['cancel']>(true);
  assertEqual<Cancellation | CancellationPreview, Outputs['cancellations']['create']>(true);
  assertEqual<Cancellation, Outputs['cancellations']['get']>(true);
  assertEqual<Cancellation, Outputs['cancellations']['liftHold']>(true);
  assertEqual<CancellationList, Outputs['cancellations']['list']>(true);
  assertEqual<ApiKey, Outputs['apiKeys']['current']>(true);
  assertEqual<ApiKeyList, Outputs['apiKeys']['list']>(true);
  assertEqual<CreatedApiKey, Outputs['apiKeys']['create']>(true);
  assertEqual<ListedApiKey, Outputs['apiKeys']['revoke']>(true);
  assertEqual<AdoptionPrefixList, Outputs['adoption']['list']>(true);
  assertEqual<AdoptionPrefix, Outputs['adoption']['add']>(true);
  assertEqual<RemovedAdoptionPrefix, Outputs['adoption']['remove']>(true);
  assertEqual<CreateApiKeyInput, Inputs['apiKeys']['create']>(true);
  assertEqual<CreateCallInput, Rest<Inputs['calls']['create']>>(true);
  assertEqual<CancelCallInput, Rest<Inputs['calls']['cancel'], 'callId'>>(true);
  assertEqual<CreateCancellationInput, Rest<Inputs['cancellations']['create']>>(true);
  assertEqual<StreamEventsInput, Rest<Inputs['events']['stream'], 'lastEventId'>>(true);
  assertEqual<StreamEvent, StreamedData>(true);
  // Over tRPC, these accept more: null cursors and the page directions of infinite queries.
  type Paged<Input> = Omit<Input, 'cursor' | 'direction'>;
  assertEqual<Paged<ListCallsInput>, Paged<Rest<Inputs['calls']['list'], 'callDirection'>>>(true);
  assertEqual<Paged<ListCallEventsInput>, Paged<Rest<Inputs['calls']['events'], 'callId'>>>(true);
  assertEqual<Paged<ListCancellationsInput>, Paged<Inputs['cancellations']['list']>>(true);
  const accepted: CreateCancellationInput[] = [] satisfies CancellationInput[];
  expect(accepted).toEqual([]);
});

test('AppRouter of the client is AppRouter of the server', () => {
  assertEqual<inferRouterInputs<AppRouter>, Inputs>(true);
  assertEqual<inferRouterOutputs<AppRouter>, Outputs>(true);
  assertEqual<CallDetails, CallList>(false);
});

test('api-types.ts is what the schemas of the server generate', () => {
  expect(readFileSync(API_TYPES_FILE, 'utf8')).toBe(generateApiTypes());
});

const CLIENT = `
import { createHangup, HangupError } from '@hangup/client';
const hangup = createHangup({ url: 'http://127.0.0.1:8080', apiKey: 'key' });
const { status } = await hangup.calls.get('x');
`;

test('a project gets literal statuses, event types and error codes from the client', async () => {
  const ok = `${CLIENT}
if (status === 'no_answer') console.log(status);
const cancelled: { id: string; status: 'cancelled' } = await hangup.calls.cancel('x', { reason: 'r' });
for await (const call of hangup.calls.listAll({ status: ['active', 'ringing'] as const })) console.log(call.agent.name);
for await (const event of hangup.events.subscribe({ agentId: 'a' }))
  if (event.type === 'call.status_changed') console.log(event.callId, event.to satisfies string | null);
const { id } = await hangup.cancellations.create({ all: true, reason: 'r', hold: true }, { idempotencyKey: 'k' });
const { counts } = await hangup.cancellations.wait(id, { onProgress: ({ counts }) => console.log(counts.rooms.pending) });
try { await hangup.calls.create({}); } catch (error) {
  if (error instanceof HangupError && error.code === 'conflict') console.log(error.requestId, error.retryAfter, counts, cancelled);
}`;
  expect(await compile(ok)).toBe('');
});

test('a project gets an error for a wrong name, a wrong value and two selectors', async () => {
  const wrong = {
    "if (status === 'noanswer') console.log(status);": /TS2367/,
    "await hangup.calls.create({ phone: '+1' });": /phone/,
    "await hangup.calls.list({ status: ['live'] });": /live/,
    'await hangup.cancellations.create({ all: true });': /TS2345/,
    "await hangup.cancellations.create({ reason: 'r' });": /TS2345/,
    "await hangup.cancellations.create({ all: true, callIds: ['x'], reason: 'r' });": /TS2345/,
    "await hangup.cancellations.create({ callIds: ['x'], hold: true, reason: 'r' });": /TS2345/,
    "new HangupError('x', { code: 'no_such_code' });": /no_such_code/,
    "createHangup({ url: 'http://x' });": /apiKey/,
  };
  const before = CLIENT.split('\n').length - 1;
  const errors = await compile(CLIENT + Object.keys(wrong).join('\n'));
  for (const [index, [line, pattern]] of Object.entries(wrong).entries()) {
    const found = errors.split('\n').filter((text) => text.startsWith(`client.ts(${before + index + 1},`));
    expect(found, line).toHaveLength(1);
    expect(found[0]).toMatch(pattern);
  }
});

test("tRPC's own client works with AppRouter of the client", async () => {
  const hangup = await startHangup();
  onTestFinished(() => hangup.stop());
  const trpc = createTRPCClient<AppRouter>({
    links: [httpBatchLink({ url: `${hangup.url}/trpc`, headers: { 'x-api-key': hangup.key } })],
  });
  const { status } = await trpc.calls.create.mutate({ id: 'x', agentId: 'a' });
  expect(status satisfies CallDetails['status']).toBe('initiated');
  expect(await trpc.calls.cancel.mutate({ callId: 'x' })).toEqual({ id: 'x', status: 'cancelled' });
  const { calls } = await trpc.calls.list.query({ agentId: 'a', status: ['cancelled'] });
  expect(calls.map(({ id }) => id)).toEqual(['x']);
});
