/*
 * The baseline of a comparison: node:http reads LiveKit's list of rooms, and LiveKit's own library decodes it.
 */
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListRoomsResponse } from '@livekit/protocol';
import { z } from 'zod';
import { answerParent, readOptions } from './parent.ts';

const { port } = readOptions(z.object({ port: z.number() }));
const agent = new Agent({ keepAlive: true });

function listRooms(): Promise<ListRoomsResponse> {
  return new Promise((resolve, reject) => {
    const path = '/twirp/livekit.RoomService/ListRooms';
    const headers = { 'content-type': 'application/protobuf', 'content-length': 0 };
    const sent = request({ agent, port, host: '127.0.0.1', method: 'POST', path, headers });
    sent.once('error', reject);
    sent.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => resolve(ListRoomsResponse.fromBinary(Buffer.concat(chunks))));
    });
    sent.end();
  });
}

// Pauses between two lists, like hangup's schedule, so that the code is as cold as there.
answerParent(0, async (message) => {
  const { lists, pauseMs } = z.object({ lists: z.number(), pauseMs: z.number() }).parse(message);
  const timesMs: number[] = [];
  let rooms = 0;
  for (let i = 0; i < lists; i += 1) {
    await sleep(pauseMs);
    const beganAt = performance.now();
    rooms = (await listRooms()).rooms.length;
    timesMs.push(performance.now() - beganAt);
  }
  return { rooms, meanMs: timesMs.reduce((a, b) => a + b, 0) / timesMs.length };
});
