import type { ServerResponse } from 'node:http';
import { TRPCError } from '@trpc/server';
import { badRequest, unrecognizedKeys } from '../api/errors.ts';
import type { Authentication, ProcedureRequest } from '../api/procedure-request.ts';
import { MAX_BATCH_SIZE } from '../api/trpc.ts';
import type { ServerDependencies } from '../operations/dependencies.ts';
import {
  assertJson,
  assertNoBody,
  decodeJson,
  describeProblem,
  MALFORMED_BODY,
  MAX_BODY_BYTES,
  parseJson,
  readBody,
} from './body.ts';
import { hasIdempotencyKey, markReplayed, readIdempotencyKey } from './idempotency-key.ts';
import { findJsonProblems } from './json.ts';
import { decodeText, splitQuery } from './query.ts';
import type { RateLimits } from './rate-limits.ts';
import type { HttpRequest } from './request.ts';
import { policyOf, type Route } from './routes.ts';

/** Returns the API key of a request, and records its id for the log. */
export type Authenticate = (request: HttpRequest) => Promise<Authentication>;

/**
 * The calls of one tRPC request and their inputs. tRPC would send the error of one input for the complete batch, and
 * before 404 and 403. Therefore this class stores the errors, and each call throws its own in the contract's order.
 */
export class TrpcCalls {
  readonly dependencies: ServerDependencies;
  readonly method: string;
  /** The valid part of the query string: also with an error, a procedure needs `callId` for 404 and 403. */
  readonly query: ReadonlyMap<string, string>;
  readonly isBatch: boolean;
  readonly paths: readonly string[];
  private readonly request: HttpRequest;
  private readonly response: ServerResponse;
  /** The input of each call that has one, by the call's index. */
  private inputs: unknown[] = [];
  private batchError: TRPCError | null = null;
  private readonly callErrors = new Map<number, TRPCError>();
  private authentication: Promise<Authentication> | null = null;
  /** Of each call: the key, after the call was counted. */
  private readonly counted: Promise<Authentication>[] = [];
  private readonly routes: ReadonlyMap<string, Route>;
  private readonly loadAuthentication: Authenticate;
  private readonly limits: RateLimits;
  private body: Promise<Uint8Array> | null = null;
  private readonly maxBodyBytes: number;

  constructor(
    dependencies: ServerDependencies,
    {
      request,
      response,
      path,
      search,
      routes,
      authenticate,
      limits,
    }: {
      request: HttpRequest;
      response: ServerResponse;
      path: string;
      search: string;
      /** The procedures by their paths. */
      routes: ReadonlyMap<string, Route>;
      authenticate: Authenticate;
      limits: RateLimits;
    },
  ) {
    this.dependencies = dependencies;
    this.request = request;
    this.response = response;
    this.routes = routes;
    this.loadAuthentication = authenticate;
    this.limits = limits;
    this.method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
    const values = this.splitQuery(search);
    this.isBatch = values.has('batch');
    this.paths = this.isBatch ? path.split(',') : [path];
    this.maxBodyBytes = Math.max(
      ...this.paths.map((one) => routes.get(one)?.rest.maxBodyBytes ?? MAX_BODY_BYTES),
    );
    this.query = this.readQuery(values.get('input'));
    if (this.method === 'GET') this.checkAll(() => assertNoBody(request));
  }

  /** Returns one of the calls. */
  requestOf(batchIndex: number, readInput: () => unknown): ProcedureRequest {
    return new TrpcRequest(this, batchIndex, readInput);
  }

  /** Loads the key once, also for a batch of many calls. Counts each call once. @throws RequestError 429 */
  authenticate(batchIndex: number): Promise<Authentication> {
    this.counted[batchIndex] ??= this.countCall(batchIndex);
    return this.counted[batchIndex];
  }

  /** Authenticates and counts all calls of a batch. Each call throws its own error later. */
  async authenticateAll(): Promise<void> {
    if (this.paths.length > MAX_BATCH_SIZE) return;
    const indexes = this.paths.flatMap((path, index) => (this.routes.has(path) ? index : []));
    await Promise.allSettled(indexes.map((index) => this.authenticate(index)));
  }

  private async countCall(batchIndex: number): Promise<Authentication> {
    this.authentication ??= this.loadKey();
    const found = await this.authentication;
    const route = this.routes.get(this.paths[batchIndex] ?? '');
    if (found.apiKey !== null && route !== undefined) {
      await this.limits.countCall(this.request, found.apiKey, policyOf(route));
    }
    return found;
  }

  private async loadKey(): Promise<Authentication> {
    const found = await this.loadAuthentication(this.request);
    if (found.apiKey === null) await this.limits.countAnonymous(this.request);
    return found;
  }

  async isKeyActive(): Promise<boolean> {
    return (await this.loadAuthentication(this.request)).apiKey !== null;
  }

  /** Returns an error of one call's input that parsing found. Call this after reading the input. */
  errorOf(batchIndex: number): TRPCError | null {
    return this.batchError ?? this.callErrors.get(batchIndex) ?? null;
  }

  /** Returns the input of one call, from the query of GET or the body of POST. */
  readInput(batchIndex: number): unknown {
    if (this.method === 'GET') return this.inputs[batchIndex];
    return this.readBody().then(() => this.inputs[batchIndex]);
  }

  hasIdempotencyKey(): boolean {
    return this.method === 'POST' && hasIdempotencyKey(this.request);
  }

  /** Returns the key in the request's header; undefined without the header, and for queries. @throws TRPCError 400 */
  readIdempotencyKey(): string | undefined {
    if (!this.hasIdempotencyKey()) return undefined;
    if (this.paths.length > 1) {
      throw badRequest('Idempotency-Key: expected with one call. Set the input idempotencyKey of each call.');
    }
    return readIdempotencyKey(this.request);
  }

  /** Marks the response as a replay. The response of a batch of several calls stays unmarked. */
  markReplayed(): void {
    if (this.paths.length === 1) markReplayed(this.response);
  }

  /** Returns the body; an empty body if the body has an error. */
  readBody(): Promise<Uint8Array> {
    this.body ??= this.loadBody();
    return this.body;
  }

  private async loadBody(): Promise<Uint8Array> {
    const bytes = await readBody(this.request, this.response, this.maxBodyBytes);
    if (bytes.length === 0) return bytes;
    this.checkAll(() => assertJson(this.request.headers));
    const isValid = this.checkAll(() => this.readText(decodeJson(bytes), MALFORMED_BODY));
    return isValid ? bytes : new Uint8Array();
  }

  /** Stores a TRPCError of this check for all calls. @returns false if the check threw */
  private checkAll(check: () => void): boolean {
    try {
      check();
      return true;
    } catch (error) {
      if (!(error instanceof TRPCError)) throw error;
      this.batchError ??= error;
      return false;
    }
  }

  /** Returns the valid parameters of a query string. */
  private splitQuery(search: string): ReadonlyMap<string, string> {
    const hasInput = this.method === 'GET';
    const values = new Map<string, string>();
    const problemOf = (name: string, raw: string) => {
      if (name !== 'batch' && !(hasInput && name === 'input')) return unrecognizedKeys([name]);
      if (values.has(name)) return `${name}: expected once`;
      return name === 'batch' && raw !== '1' ? 'batch: expected 1' : null;
    };
    this.checkAll(() => {
      for (const { name, raw } of splitQuery(search)) {
        const problem = problemOf(name, raw);
        if (problem === null) values.set(name, raw);
        else this.batchError ??= badRequest(problem);
      }
    });
    return values;
  }

  private readQuery(rawInput: string | undefined): ReadonlyMap<string, string> {
    const query = new Map<string, string>();
    if (this.isBatch) query.set('batch', '1');
    if (rawInput === undefined) return query;
    this.checkAll(() => {
      const text = decodeInput(rawInput);
      this.readText(text, 'input: malformed JSON');
      query.set('input', text);
    });
    return query;
  }

  /** Stores the inputs, and the errors of single calls. @throws TRPCError for an error of the complete text */
  private readText(text: string, malformed: string): void {
    const value = parseJson(text, malformed);
    const inputs = this.isBatch ? this.splitBatch(value) : [value];
    for (const { path, message } of findJsonProblems(text)) {
      const [index, ...inside] = this.isBatch ? path : [0, ...path];
      const error = badRequest(describeProblem({ path: inside, message }));
      if (index === undefined) throw error;
      if (!this.callErrors.has(Number(index))) this.callErrors.set(Number(index), error);
    }
    this.inputs = inputs;
  }

  /** Returns the inputs in the object of a batch. @throws TRPCError for a name that is not the index of a call */
  private splitBatch(value: unknown): unknown[] {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw badRequest('input: expected an object with the inputs of the batch by their index');
    }
    const inputs = new Map(Object.entries(value));
    const indexes = this.paths.map((_, index) => String(index));
    const unknown = [...inputs.keys()].filter((name) => !indexes.includes(name));
    if (unknown.length > 0) throw badRequest(unrecognizedKeys(unknown));
    return indexes.map((index) => inputs.get(index));
  }
}

class TrpcRequest implements ProcedureRequest {
  readonly transport = 'trpc';
  readonly dependencies: ServerDependencies;
  private readonly calls: TrpcCalls;
  private readonly batchIndex: number;
  private readonly readRawInput: () => unknown;

  constructor(calls: TrpcCalls, batchIndex: number, readRawInput: () => unknown) {
    this.dependencies = calls.dependencies;
    this.calls = calls;
    this.batchIndex = batchIndex;
    this.readRawInput = readRawInput;
  }

  authenticate(): Promise<Authentication> {
    return this.calls.authenticate(this.batchIndex);
  }

  isKeyActive(): Promise<boolean> {
    return this.calls.isKeyActive();
  }

  readCallId(): Promise<unknown> {
    return this.readRawMember('callId');
  }

  async hasIdempotencyKey(): Promise<boolean> {
    return this.calls.hasIdempotencyKey() || (await this.readRawMember('idempotencyKey')) !== undefined;
  }

  /** Returns a member of the input, also of an input that another check refuses. */
  private async readRawMember(name: string): Promise<unknown> {
    const input = await this.readRawInput();
    if (input === null || typeof input !== 'object') return undefined;
    return Object.getOwnPropertyDescriptor(input, name)?.value;
  }

  /** Asserts that parsing did not change the input, and that no data transformer encoded it. @throws TRPCError */
  async readInput(): Promise<unknown> {
    const input = await this.readRawInput();
    const error = this.calls.errorOf(this.batchIndex);
    if (error !== null) throw error;
    if (isTransformed(input)) {
      throw badRequest(
        'input: expected plain JSON, without a data transformer such as superjson. Remove `transformer` from the link.',
      );
    }
    return addIdempotencyKey(input, this.calls.readIdempotencyKey());
  }

  markReplayed(): void {
    this.calls.markReplayed();
  }
}

/** Adds the key of the header to an input. @throws TRPCError 400 if the input has another key */
function addIdempotencyKey(input: unknown, key: string | undefined): unknown {
  if (key === undefined || input === null || typeof input !== 'object' || Array.isArray(input)) {
    return input;
  }
  if ('idempotencyKey' in input && input.idempotencyKey !== key) {
    throw badRequest('Idempotency-Key: differs from the input idempotencyKey');
  }
  return { ...input, idempotencyKey: key };
}

/** superjson sends `{"json","meta"}`. devalue and others send a string, which a client without a transformer never sends. */
function isTransformed(input: unknown): boolean {
  if (typeof input === 'string') return true;
  if (input === null || typeof input !== 'object') return false;
  return 'json' in input && Object.keys(input).every((name) => name === 'json' || name === 'meta');
}

function decodeInput(raw: string): string {
  try {
    return decodeText(raw);
  } catch {
    throw badRequest('input: expected percent-encoded UTF-8');
  }
}
