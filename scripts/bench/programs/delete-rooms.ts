/*
 * The baseline of due deletions: a loop that sends a DeleteRoom request for each room with node:http.
 */
import { Agent, request } from 'node:http';
import { AccessToken } from 'livekit-server-sdk';
import { z } from 'zod';
import { callId } from '../names.ts';
import { answerParent, readOptions } from './parent.ts';

const options = readOptions(
  z.object({
    port: z.number(),
    prefix: z.string(),
    rooms: z.number(),
    concurrency: z.number(),
    apiKey: z.string(),
    apiSecret: z.string(),
  }),
);

const token = new AccessToken(options.apiKey, options.apiSecret, { ttl: '1h' });
token.addGrant({ roomCreate: true });
const authorization = `Bearer ${await token.toJwt()}`;
const agent = new Agent({ keepAlive: true, maxSockets: options.concurrency });

function deleteRoom(room: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ room });
    const sent = request({
      agent,
      port: options.port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/twirp/livekit.RoomService/DeleteRoom',
      headers: {
        authorization,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      response.resume().once('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`DeleteRoom: ${response.statusCode}`));
      });
    });
    sent.end(body);
  });
}

answerParent(0, async () => {
  let next = 0;
  await Promise.all(
    Array.from({ length: options.concurrency }, async () => {
      while (next < options.rooms) {
        next += 1;
        await deleteRoom(callId(options.prefix, next - 1));
      }
    }),
  );
  return null;
});
