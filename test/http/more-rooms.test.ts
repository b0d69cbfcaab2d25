import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { playRoom, type RoomStage, readRoomCases, startRoomStage } from '../harness/rooms.ts';

// Too many concurrent cases for a busy machine, so CI runs this file alone.
const CASES = readRoomCases(join(import.meta.dirname, 'more-rooms.json'));
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
