/** `npm run test:livekit`: the tests that inject no faults, on a real livekit-server with real participants. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'livekit-server'));
const server = process.env.LIVEKIT_SERVER || onPath.find(isExecutable);

if (server === undefined || !isExecutable(server)) {
  process.stderr.write(
    'test:livekit needs livekit-server: install it (https://docs.livekit.io/transport/self-hosting/local/), or name the binary in LIVEKIT_SERVER.\n',
  );
  process.exitCode = 1;
} else {
  const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs');
  const { status } = spawnSync(
    process.execPath,
    [
      vitest,
      'run',
      'test/livekit/contract',
      'test/livekit/end-to-end',
      'test/livekit/probe',
      'test/livekit/emulator-captures',
      'test/http',
    ],
    {
      stdio: 'inherit',
      env: { ...process.env, LIVEKIT_SERVER: server },
    },
  );
  process.exitCode = status ?? 1;
}
