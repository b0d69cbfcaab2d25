import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { playRoom, type RoomStage, readRoomCases, startRoomStage } from '../harness/rooms.ts';

// More rooms, by the rules: the number of the rule stands first in a name. CI plays them on a machine that is idle otherwise.
const CASES = readRoomCases(join(import.meta.dirname, 'more-rooms.json'));
vi.setConfig({ maxConcurrency: CASES.length, testTimeout: 120_000 });

let stage: RoomStage;

beforeAll(async () => {
  stage = await startRoomStage();
});

afterAll(() => stage.stop());

test.concurrent.each(CASES)('$name', async (room) => {
  const { differences, history } = await playRoom(stage, room);
  expect(differences, history).toEqual([]);
});
