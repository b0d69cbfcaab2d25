#!/usr/bin/env node
// Without a listener, this signal opens Node's debugger, which exposes secrets to every user of the machine.
// npm start and the single file also pass --disable-sigusr1, which works from the first moment.
process.on('SIGUSR1', () => {});

// Load no native module before this check: better-sqlite3 crashes without a message on an older Node.
const MINIMUM_NODE_VERSION = [26, 9] as const;
const [minimumMajor, minimumMinor] = MINIMUM_NODE_VERSION;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < minimumMajor || (major === minimumMajor && minor < minimumMinor)) {
  process.stderr.write(
    `hangup requires Node.js ${MINIMUM_NODE_VERSION.join('.')} or newer; this is ${process.version}. Start hangup with npm start or npx hangup, which include Node.js on Linux.\n`,
  );
  process.exitCode = 1;
} else {
  // Without await, because the single file is a script, and a script has no top-level await.
  void import('./cli/program.ts').then(async ({ runCli }) => {
    process.exitCode = await runCli(process.argv.slice(2));
  });
}
