import { type CallToolResult, Client, type ClientOptions } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { expect, inject, onTestFinished } from 'vitest';
import { COMMAND } from './process.ts';

type Data = Record<string, unknown>;

export interface McpSession {
  readonly client: Client;
  stderr(): string;
  toolNames(): Promise<string[]>;
  /** Returns the structured content of a tool call, after a check that the text is the same. */
  call(name: string, args?: Data): Promise<Data>;
  /** Returns the error of a failed tool call, after a check of its fields. */
  fail(name: string, args?: Data): Promise<Data>;
}

/** Starts `hangup mcp`, and ends it after the test. */
export async function startMcp(...args: Parameters<typeof connectMcp>): Promise<McpSession> {
  const session = await connectMcp(...args);
  onTestFinished(() => session.client.close());
  return session;
}

/** Starts `hangup mcp` as a process, as MCP clients do, and connects the official client. */
export async function connectMcp(
  { url, key }: { url: string; key: string },
  options: ClientOptions = {},
): Promise<McpSession> {
  const [command, ...before] = COMMAND;
  const transport = new StdioClientTransport({
    command,
    args: [...before, 'mcp'],
    cwd: inject('temporaryFolder'),
    env: { HANGUP_URL: url, HANGUP_API_KEY: key },
    stderr: 'pipe',
  });
  let stderr = '';
  transport.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const client = new Client({ name: 'test', version: '1.0.0' }, options);
  await client.connect(transport);
  const send = (name: string, args: Data) => client.callTool({ name, arguments: args });
  return {
    client,
    stderr: () => stderr,
    toolNames: async () => (await client.listTools()).tools.map(({ name }) => name).sort(),
    async call(name, args = {}) {
      const result = await send(name, args);
      expect(result.isError, textOf(result)).not.toBe(true);
      expect(JSON.parse(textOf(result))).toEqual(result.structuredContent);
      return JSON.parse(textOf(result));
    },
    async fail(name, args = {}) {
      const result = await send(name, args);
      expect(result.isError, textOf(result)).toBe(true);
      const { error } = JSON.parse(textOf(result));
      expect(Object.keys(error)).toEqual(
        expect.arrayContaining(['message', 'status', 'code', 'requestId', 'advice']),
      );
      return error;
    },
  };
}

function textOf({ content }: CallToolResult): string {
  const [block] = content;
  expect(content).toHaveLength(1);
  return block?.type === 'text' ? block.text : '';
}
