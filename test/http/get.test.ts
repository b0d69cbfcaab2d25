import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hangup, startHangup } from '../harness/hangup.ts';

let hangup: Hangup;
beforeAll(async () => {
  hangup = await startHangup();
});
afterAll(() => hangup.stop());

const get = (id: string, options?: Parameters<Hangup['send']>[2]) =>
  hangup.send('GET', `/api/v1/calls/${id}`, options);

describe('GET /calls/{callId} returns 200', () => {
  test('with every field, and times in ISO 8601 with milliseconds', async () => {
    await hangup.insertCall({
      id: 'ended',
      status: 'completed',
      direction: 'inbound',
      phoneNumber: '+15551234567',
      agentId: 'a1',
      agentName: 'Ada',
      roomName: 'room of ended',
      roomId: 'RM_1',
      jobId: 'AJ_1',
      sipParticipantId: 'PA_1',
      metadata: { campaign: { name: 'autumn' } },
      failureReason: 'SIGNAL_CLOSE',
      scheduledAt: Date.UTC(2026, 10, 23, 8),
      startedAt: Date.UTC(2026, 10, 23, 8, 0, 1),
      answeredAt: Date.UTC(2026, 10, 23, 8, 0, 2),
      endedAt: Date.UTC(2026, 10, 23, 8, 1, 2, 345),
      createdAt: 0,
      updatedAt: 1,
    });
    expect(await get('ended')).toMatchObject({
      status: 200,
      body: {
        data: {
          id: 'ended',
          organizationId: hangup.organizationId,
          status: 'completed',
          direction: 'inbound',
          phoneNumber: '+15551234567',
          duration: 60,
          scheduledAt: '2026-11-23T08:00:00.000Z',
          startedAt: '2026-11-23T08:00:01.000Z',
          endedAt: '2026-11-23T08:01:02.345Z',
          failureReason: 'SIGNAL_CLOSE',
          cancelledAt: null,
          cancelledBy: null,
          cancelReason: null,
          agent: { id: 'a1', name: 'Ada', type: 'voice' },
          metadata: { campaign: { name: 'autumn' } },
          summary: null,
          transcript: null,
          roomId: 'RM_1',
          roomName: 'room of ended',
          jobId: 'AJ_1',
          sipParticipantId: 'PA_1',
          liveRoomStatus: null,
          roomDeletion: null,
          createdAt: '1970-01-01T00:00:00.000Z',
          updatedAt: '1970-01-01T00:00:00.001Z',
        },
      },
    });
  });

  test('with the participants of a live call', async () => {
    await hangup.insertCall({ id: 'live', status: 'active' });
    await hangup.livekit.join('live', 'caller');
    expect(await get('live')).toMatchObject({
      body: {
        data: {
          liveRoomStatus: {
            roomExists: true,
            numParticipants: 1,
            participants: [
              { identity: 'caller', kind: 'STANDARD', joinedAt: expect.stringMatching(/^20\d\d-.*Z$/) },
            ],
          },
        },
      },
    });
  });

  test('with no participants when a live call has no room', async () => {
    await hangup.insertCall({ id: 'no-room' });
    expect(await get('no-room')).toMatchObject({
      body: { data: { liveRoomStatus: { roomExists: false, numParticipants: 0, participants: [] } } },
    });
  });

  test('with the time, the actor and the room deletion of a cancel', async () => {
    await hangup.insertCall({ id: 'cancelled', status: 'ringing' });
    await hangup.send('DELETE', '/api/v1/calls/cancelled');
    const { body } = await get('cancelled');
    expect(body).toMatchObject({
      data: {
        status: 'cancelled',
        cancelledAt: expect.stringMatching(/^20\d\d-.*Z$/),
        cancelledBy: expect.stringMatching(/^key_/),
        liveRoomStatus: null,
        roomDeletion: { state: 'completed', attempt: 1, lastError: null, nextAttemptAt: null },
      },
    });
  });

  test('without a body to HEAD', async () => {
    const answer = await hangup.send('HEAD', '/api/v1/calls');
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(50);
  });
});

test('GET /calls/{callId} returns 403 when the key lacks calls:read', async () => {
  const key = await hangup.createKey('acme', ['calls:cancel']);
  expect(await get('ended', { key })).toMatchObject({
    status: 403,
    body: { error: { message: 'Access denied - API key lacks scope: calls:read', code: 403 } },
  });
});
