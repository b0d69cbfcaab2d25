import { expect, test } from 'vitest';
import { ResponseBody } from '../../../src/livekit/transport/response-body.ts';

test('a late reader does not resume the connection of the next response', async () => {
  const calls: string[] = [];
  const connection = { pause: () => calls.push('pause'), resume: () => calls.push('resume') };
  const first = new ResponseBody(connection);
  first.push(new Uint8Array(64 * 1024));
  first.end();
  const second = new ResponseBody(connection);
  second.push(new Uint8Array(64 * 1024));
  expect(calls).toEqual(['pause', 'pause']);
  expect((await first.next()).value).toHaveLength(64 * 1024);
  expect(calls).toEqual(['pause', 'pause']);
  expect((await second.next()).value).toHaveLength(64 * 1024);
  expect(calls).toEqual(['pause', 'pause', 'resume']);
});
