import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { playRoom, type RoomStage, readRoomCases, startRoomStage } from '../harness/rooms.ts';

// All cases run concurrently, because they mostly wait.
const CASES = readRoomCases(join(import.meta.dirname, 'rooms.json'));
vi.setConfig({ maxConcurrency: CASES.length });

let stage: RoomStage;

beforeAll(async () => {
  stage = await startRoomStage();
});

afterAll(() => stage.stop());

test.concurrent.each(CASES)('$name', async (room) => {
  const { differences, history } = await playRoom(stage, room);
  expect(differences, history).toEqual([]);
});
