import type { Command } from 'commander';
import { readVersion } from '../../platform/assets.ts';

const NOTES = `
An MCP client starts this command, and ends it by closing standard input. Set HANGUP_URL and HANGUP_API_KEY in the
configuration of the client. The scopes of the key decide which tools are offered.
To read more: hangup docs mcp`;

export function registerMcpCommand(program: Command): void {
  program
    .command('mcp')
    .description('Offer the calls on the server at HANGUP_URL to an AI agent, as an MCP server on stdio')
    .addHelpText('after', NOTES)
    .action(async () => {
      // Other commands do not need the schemas of the tools.
      const { serveMcp } = await import('../mcp/serve-mcp.ts');
      await serveMcp(readVersion().version);
    });
}
