/** Tests that start a process for most of their cases: `npm run test:binary` runs them with the single file, `npm test` does not. */
export const COMMAND_LINE_TESTS = [
  'app/crash',
  'app/fleet',
  'app/idempotency',
  'app/lifecycle',
  'cli/backup',
  'cli/cli',
  'cli/commands',
  'cli/copy',
  'cli/deletions',
  'cli/mcp',
  'cli/mcp-connection',
  'cli/stop',
  'cli/watch',
  'cli/postgres',
  'doctor/doctor',
  'store/upgrade',
] as const;
