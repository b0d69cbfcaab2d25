import type { McpServer, RegisteredTool } from '@modelcontextprotocol/server';
import type { z } from 'zod';
import type { Scope } from '../../domain/api-key.ts';
import { type RequestOptions, sendRequest } from '../api-client.ts';
import { printProgress } from '../output.ts';
import { retryTransientFailures } from '../stop/retry.ts';
import { toToolError } from './tool-error.ts';
import { checkArguments, toArguments, toResult } from './tool-schema.ts';

/** Long enough for a restart of the server. MCP clients wait for 60 s. */
const RETRY_LIMIT_MS = 5_000;

/** Sends a request of a tool call. Retries transient failures, because every request of a tool can be repeated. */
export type Send = <Data>(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  options: Omit<RequestOptions<Data>, 'signal'>,
) => Promise<Data>;

interface Definition<Input extends z.ZodType, Output extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  /** For the model. */
  readonly description: string;
  /** The scope that the API requires. Without the scope, the tool is not offered. */
  readonly scope: Scope;
  /** `read` changes nothing. `destroy` ends calls; a repeat with the same arguments changes nothing more. */
  readonly effect: 'read' | 'destroy';
  readonly input: Input;
  readonly output: Output;
  run(input: z.input<Input>, context: { send: Send; signal: AbortSignal }): Promise<z.output<Output>>;
}

export interface Tool {
  readonly name: string;
  readonly scope: Scope;
  register(server: McpServer): RegisteredTool;
}

/** Returns a tool whose result is both structured content and JSON text. */
export function defineTool<Input extends z.ZodType, Output extends z.ZodObject>({
  name,
  scope,
  effect,
  input,
  output,
  run,
  ...texts
}: Definition<Input, Output>): Tool {
  const isRead = effect === 'read';
  const config = {
    ...texts,
    inputSchema: toArguments(input),
    outputSchema: toResult(output),
    annotations: {
      readOnlyHint: isRead,
      destructiveHint: !isRead,
      idempotentHint: true,
      // Results contain texts of callers and other systems.
      openWorldHint: true,
    },
  };
  return {
    name,
    scope,
    register: (server) =>
      server.registerTool(name, config, async (given, { mcpReq: { signal } }) => {
        try {
          const result = await run(checkArguments(input, given), { send: createSend(signal), signal });
          return {
            content: [{ type: 'text', text: JSON.stringify(result) }],
            structuredContent: { ...result },
          };
        } catch (error) {
          return toToolError(error);
        }
      }),
  };
}

function createSend(signal: AbortSignal): Send {
  return async (method, path, options) => {
    const { data } = await retryTransientFailures(() => sendRequest(method, path, { ...options, signal }), {
      limitMs: RETRY_LIMIT_MS,
      signal,
      onRetry: ({ message }) => printProgress(`${message} Retrying.`),
    });
    return data;
  };
}
