/*
 * hangup's LiveKit emulator with rooms of two participants each. A DeleteRoom is answered after a fixed delay.
 */

import { z } from 'zod';
import { startEmulator } from '../../../src/emulator/emulator.ts';
import { callId } from '../names.ts';
import { answerParent, readOptions } from './parent.ts';

const { prefix, rooms, deleteDelayMs, apiKey, apiSecret } = readOptions(
  z.object({
    prefix: z.string(),
    rooms: z.number(),
    deleteDelayMs: z.number(),
    apiKey: z.string(),
    apiSecret: z.string(),
  }),
);

const emulator = await startEmulator({ apiKey, apiSecret });
emulator.setFault('DeleteRoom', { kind: 'slow', delayMs: deleteDelayMs });
/** Of the present rooms, by name. */
const sids = new Map<string, string>();
let lastEndAt = 0;
emulator.dropWebhooks(({ event, room }) => {
  if (event === 'room_started' && room !== undefined) sids.set(room.name, room.sid);
  if (event === 'room_finished' && room !== undefined) {
    sids.delete(room.name);
    lastEndAt = Date.now();
  }
  return true;
});

/** Opens the rooms that are missing. */
function openRooms(): void {
  for (let i = 0; i < rooms; i += 1) {
    const name = callId(prefix, i);
    if (sids.has(name)) continue;
    emulator.join(name, { identity: 'agent', kind: 'AGENT' });
    emulator.join(name, { identity: 'phone', kind: 'SIP', attributes: { 'sip.callStatus': 'active' } });
  }
}

const Request = z.object({ opensRooms: z.boolean() });

answerParent(Number(new URL(emulator.url).port), (message) => {
  if (!Request.parse(message).opensRooms) return { rooms: sids.size, lastEndAt, sids: {} };
  openRooms();
  return { rooms: sids.size, lastEndAt, sids: Object.fromEntries(sids) };
});
