#!/usr/bin/env node
// Without a listener Node.js opens its debugger on this signal, where every user of the machine may read the secrets.
// npm start and the single file have --disable-sigusr1 besides, which holds from the first moment.
process.on('SIGUSR1', () => {});

// Nothing native may load before this check: better-sqlite3 crashes on an older Node, without a word.
const OLDEST = [26, 9] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
  process.stderr.write(
    `hangup needs Node.js ${OLDEST.join('.')} or newer, and this is ${process.version}: start it by npm start or npx hangup, which bring their own on Linux.\n`,
  );
  process.exitCode = 1;
} else {
  // Without an await, which a script cannot have at its top: the single file is one.
  void import('./cli/program.ts').then(async ({ runCommandLine }) => {
    process.exitCode = await runCommandLine(process.argv.slice(2));
  });
}
