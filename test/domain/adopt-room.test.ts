import { expect, test } from 'vitest';
import { adoptRoom } from '../../src/domain/adopt-room.ts';
import { newCall } from '../../src/domain/call.ts';
import type { RoomEventPayload } from '../../src/domain/room-event.ts';
import { newRoster } from '../../src/domain/roster.ts';
import { scheduleDeletion } from '../../src/domain/schedule-deletion.ts';
import { FINISHED, inbound, joined, left, PERSON, POLICY, STARTED } from '../harness/rosters.ts';

const ROOM = { name: 'desk-1', sid: 'RM_2', createdAt: 9_000, metadata: '' };
const SNAPSHOT = {
  call: null,
  adoption: { prefix: 'desk-', organizationId: 'org' },
  incompleteDeletion: null,
  now: 10_000,
};
const CAUSE = { actor: 'livekit', actorId: 'EV_1', reason: 'room_started' } as const;

function adopt(
  snapshot: Partial<Parameters<typeof adoptRoom>[0]> = {},
  payload: RoomEventPayload = STARTED,
  { room = ROOM, roster = null as ReturnType<typeof newRoster> | null } = {},
) {
  const event = { id: 'EV_1', at: 9_500, room, payload };
  const adopted = { id: 'adopted', agentId: 'agent' };
  return adoptRoom({ ...SNAPSHOT, ...snapshot }, event, { adopted, roster, cause: CAUSE, policy: POLICY });
}

test('a started room becomes a connecting inbound call of the organization of its prefix', () => {
  const adopted = adopt();
  expect(adopted?.change).toMatchObject({
    isNew: true,
    call: {
      id: 'adopted',
      organizationId: 'org',
      status: 'connecting',
      direction: 'inbound',
      roomName: 'desk-1',
      roomId: 'RM_2',
      agentId: 'agent',
      adoptedPrefix: 'desk-',
      createdAt: 9_000,
    },
    deletions: [],
    events: [
      {
        at: 10_000,
        action: 'call.created',
        actor: 'livekit',
        actorId: 'EV_1',
        subjectId: 'adopted',
        fromStatus: null,
        toStatus: 'initiated',
        reason: 'adopted by the prefix desk-',
      },
      {
        action: 'call.status_changed',
        fromStatus: 'initiated',
        toStatus: 'connecting',
        reason: 'room_started',
      },
    ],
  });
  expect(adopted?.result).toMatchObject({
    kind: 'applied',
    callId: 'adopted',
    wasAdopted: true,
    decision: { kind: 'advance', to: 'connecting' },
  });
});

test('the first participant makes the room a call, with the number of its phone', () => {
  const phone = inbound();
  const adopted = adopt({}, joined(phone));
  expect(adopted?.change.call).toMatchObject({
    status: 'ringing',
    direction: 'inbound',
    phoneNumber: phone.phone?.phoneNumber,
  });
});

test.each<[string, RoomEventPayload]>([
  ['room_finished', FINISHED],
  ['participant_left', left(PERSON)],
  ['audio_published', { kind: 'audio_published', participantSid: 'PA_1' }],
])('%s does not make a call of a room', (_, payload) => {
  expect(adopt({}, payload)).toBeNull();
});

test('a room without a prefix does not become a call', () => {
  expect(adopt({ adoption: null })).toBeNull();
});

test('an adopted call begins with its room, but never in the future, and after the previous call', () => {
  const createdAt = (...args: Parameters<typeof adopt>) => adopt(...args)?.change.call.createdAt;
  expect(createdAt({}, STARTED, { room: { ...ROOM, createdAt: 11_000 } })).toBe(10_000);
  // In the session of an ended call, the new call begins now.
  expect(createdAt({}, STARTED, { roster: newRoster(ROOM, 9_000) })).toBe(10_000);
  const before = newCall({ id: 'before', organizationId: 'org', roomName: 'desk-1', createdAt: 12_000 });
  expect(createdAt({ call: before })).toBe(12_001);
});

test('an adopted call completes the deletion of an earlier call in the room', () => {
  const incompleteDeletion = scheduleDeletion(
    { id: 'before', roomName: 'desk-1', cancellationId: null },
    null,
    8_000,
  );
  expect(adopt({ incompleteDeletion })?.change.deletions).toEqual([
    { ...incompleteDeletion, state: 'completed', attempt: 1, attemptedAt: 10_000, finalizedAt: 10_000 },
  ]);
});
