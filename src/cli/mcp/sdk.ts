/* A script of its own in the single file, so that only `hangup mcp` has the SDK in memory: see scripts/build/bundle.ts. */
export { McpServer } from '@modelcontextprotocol/server';
export { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
