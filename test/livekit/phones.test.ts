import { beforeAll, describe, expect, test } from 'vitest';
import { DISPATCH_PREFIX } from '../harness/phones.ts';
import { freePorts } from '../harness/ports.ts';
import {
  answerAndHangUp,
  answerAndStay,
  callAndGiveUp,
  callAndStay,
  refuse,
  ringForEver,
} from '../harness/sipp.ts';
import { Stage, statuses } from '../harness/stage.ts';
import { poll } from '../harness/time.ts';

/*
 * Real phone calls with livekit-server, livekit-sip, and sipp as the phone. The tests compare hangup's API with the phone's
 * SIP messages. `npm run test:livekit` runs them if these programs are installed.
 */

const AGENT_LEFT_GRACE_MS = 3_000;
const SETTINGS = { agentLeftGraceMs: AGENT_LEFT_GRACE_MS };
/** LiveKit reports the time of an event in whole seconds. */
const EVENT_TIME_TOLERANCE_MS = 2_000;

const measured: string[] = [];
function measure(duration: string, ms: number): number {
  measured.push(`${duration} ${ms} ms`);
  return ms;
}

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.start(SETTINGS);
  return async () => {
    process.stdout.write(`\nphones: ${measured.join('; ')}\n`);
    await stage.stop();
  };
});

describe.concurrent('phone calls', { timeout: 90_000 }, () => {
  test('a call ends within a minute when livekit-sip is killed', async () => {
    const separateStage = await Stage.start(SETTINGS);
    try {
      const phone = await separateStage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
      await separateStage.joinAgent('killed');
      await separateStage.placeCall('killed', phone.address);
      await phone.waitForMessage('received', 'ACK');
      const killedAt = Date.now();
      await separateStage.network.killSip();
      const call = await separateStage.waitForEnd('killed', 60_000);
      measure('livekit-sip killed to the room gone', Date.now() - killedAt);
      expect(call).toMatchObject({ status: 'completed', failureReason: 'CONNECTION_TIMEOUT' });
      expect(call.endedAt).toBeGreaterThan(killedAt - EVENT_TIME_TOLERANCE_MS);
      expect(phone.messages().at(-1)).toMatchObject({
        direction: 'received',
        line: expect.stringMatching(/^ACK/),
      });
    } finally {
      await separateStage.stop();
    }
  });

  test('a call is completed when its answered phone hangs up', async () => {
    const phone = await stage.network.startPhone(answerAndHangUp({ afterRingingMs: 2_500, talkMs: 4_000 }));
    await stage.joinAgent('hung-up');
    await stage.placeCall('hung-up', phone.address);
    await phone.scriptEnded();
    const answer = await phone.waitForMessage('sent', 'SIP/2.0 200');
    const bye = await phone.waitForMessage('sent', 'BYE');
    const call = await stage.waitForEnd('hung-up');
    expect(call).toMatchObject({ status: 'completed', failureReason: null, direction: 'outbound' });
    expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
    expect(statuses(call)).toEqual(['initiated', 'connecting', 'ringing', 'active', 'completed']);
    expect(measure('answer to answeredAt', (call.answeredAt ?? 0) - answer.at)).toBeLessThan(2_000);
    expect(call.answeredAt).toBeGreaterThan(answer.at - EVENT_TIME_TOLERANCE_MS);
    expect(call.duration).toBe(Math.round(((call.endedAt ?? 0) - (call.answeredAt ?? 0)) / 1_000));
  });

  test('a cancel hangs up an answered phone', async () => {
    const phone = await stage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
    const agent = await stage.joinAgent('cancelled-talking');
    await stage.placeCall('cancelled-talking', phone.address);
    await phone.waitForMessage('received', 'ACK');
    const requestedAt = await stage.cancel('cancelled-talking');
    const bye = await phone.waitForMessage('received', 'BYE');
    expect(measure('DELETE to BYE', bye.at - requestedAt)).toBeLessThan(1_000);
    expect(await agent.disconnected).toBe('ROOM_DELETED');
    await phone.scriptEnded();
    const call = await stage.waitForEnd('cancelled-talking');
    expect(call).toMatchObject({ status: 'cancelled', failureReason: null });
    expect(call.events.find(({ to }) => to === 'cancelled')).toMatchObject({ actor: 'api_key' });
    expect(Math.abs((call.endedAt ?? 0) - requestedAt)).toBeLessThan(1_000);
  });

  test('a cancel stops a ringing phone', async () => {
    const phone = await stage.network.startPhone(ringForEver());
    await stage.placeCall('cancelled-ringing', phone.address);
    await poll(() => stage.network.callStatus('cancelled-ringing')).toBe('ringing');
    const requestedAt = await stage.cancel('cancelled-ringing');
    const cancel = await phone.waitForMessage('received', 'CANCEL');
    expect(measure('DELETE to CANCEL', cancel.at - requestedAt)).toBeLessThan(1_000);
    await phone.scriptEnded();
    const call = await stage.waitForEnd('cancelled-ringing');
    expect(call).toMatchObject({ status: 'cancelled', duration: null });
    expect(statuses(call)).not.toContain('active');
  });

  test.for([
    { id: 'busy', answer: '486 Busy Here', afterRingingMs: 1_000, status: 'busy', reason: 'USER_REJECTED' },
    { id: 'declined', answer: '603 Decline', afterRingingMs: 1_000, status: 'busy', reason: 'USER_REJECTED' },
    {
      id: 'no-service',
      answer: '503 Service Unavailable',
      afterRingingMs: null,
      status: 'failed',
      reason: 'CLIENT_INITIATED',
    },
  ])(
    'a call becomes $status when its phone answers $answer',
    async ({ id, answer, afterRingingMs, status, reason }) => {
      const phone = await stage.network.startPhone(refuse(answer, { afterRingingMs }));
      await stage.placeCall(id, phone.address);
      await phone.scriptEnded();
      const refusal = await phone.waitForMessage('sent', `SIP/2.0 ${answer}`);
      const call = await stage.waitForEnd(id);
      expect(call).toMatchObject({ status, failureReason: reason, duration: null });
      expect(statuses(call)).not.toContain('active');
      expect(Math.abs((call.endedAt ?? 0) - refusal.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
    },
  );

  test('a call becomes no_answer when its phone is not answered in time', async () => {
    const phone = await stage.network.startPhone(ringForEver());
    await stage.placeCall('unanswered', phone.address, { ringingTimeoutS: 3 });
    const cancel = await phone.waitForMessage('received', 'CANCEL');
    await phone.scriptEnded();
    const call = await stage.waitForEnd('unanswered');
    expect(call).toMatchObject({ status: 'no_answer', failureReason: 'USER_UNAVAILABLE', duration: null });
    expect(statuses(call)).not.toContain('active');
    expect(Math.abs((call.endedAt ?? 0) - cancel.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test.for(['TCP', 'UDP'] as const)(
    'a call fails when nothing listens at the address of its phone, over %s',
    async (transport) => {
      const id = `nowhere-${transport}`;
      const [port] = await freePorts(1);
      await stage.placeCall(id, `127.0.0.1:${port}`, { transport, ringingTimeoutS: 3 });
      const call = await stage.waitForEnd(id);
      expect(call).toMatchObject({ status: 'failed', failureReason: expect.any(String), duration: null });
      expect(statuses(call)).not.toContain('active');
    },
  );

  test('a cancel hangs up a caller whom an agent answered', async () => {
    const caller = '+15557770001';
    const phone = await stage.network.receive(callAndStay(), caller);
    const id = await stage.findAdoptedCall(caller);
    const { roomName } = await stage.find(id);
    await stage.joinAgent(roomName);
    const answer = await phone.waitForMessage('received', 'SIP/2.0 200');
    await poll(async () => (await stage.find(id)).status).toBe('active');
    const requestedAt = await stage.cancel(id);
    const bye = await phone.waitForMessage('received', 'BYE');
    expect(measure('DELETE to BYE, inbound', bye.at - requestedAt)).toBeLessThan(1_000);
    await phone.scriptEnded();
    const call = await stage.waitForEnd(id);
    expect(call).toMatchObject({ status: 'cancelled', direction: 'inbound', phoneNumber: caller });
    expect(call.events[0]).toMatchObject({
      action: 'call.created',
      actor: 'livekit',
      reason: `adopted by the prefix ${DISPATCH_PREFIX}`,
    });
    expect(Math.abs((call.answeredAt ?? 0) - answer.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a call becomes no_answer when its caller hangs up during ringing', async () => {
    const caller = '+15557770002';
    const phone = await stage.network.receive(callAndGiveUp({ afterRingingMs: 2_000 }), caller);
    const id = await stage.findAdoptedCall(caller);
    await phone.scriptEnded();
    const cancel = await phone.waitForMessage('sent', 'CANCEL');
    const call = await stage.waitForEnd(id);
    expect(call).toMatchObject({
      status: 'no_answer',
      failureReason: 'CLIENT_INITIATED',
      direction: 'inbound',
      duration: null,
    });
    expect(statuses(call)).not.toContain('active');
    expect(Math.abs((call.endedAt ?? 0) - cancel.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a phone is hung up after the grace period when the agent leaves', async () => {
    const phone = await stage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
    const agent = await stage.joinAgent('left-alone');
    await stage.placeCall('left-alone', phone.address);
    await phone.waitForMessage('received', 'ACK');
    const leftAt = Date.now();
    await agent.leave();
    const bye = await phone.waitForMessage('received', 'BYE');
    const alone = measure(`agent left to BYE (grace ${AGENT_LEFT_GRACE_MS} ms)`, bye.at - leftAt);
    expect(alone).toBeGreaterThanOrEqual(AGENT_LEFT_GRACE_MS);
    expect(alone).toBeLessThan(AGENT_LEFT_GRACE_MS + 2_000);
    await phone.scriptEnded();
    const call = await stage.waitForEnd('left-alone');
    expect(call).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
    expect(call.events.find(({ to }) => to === 'completed')).toMatchObject({ actor: 'reconciler' });
  });
});

test('late webhooks do not change ended calls', async () => {
  expect(stage.ended.size).toBe(12);
  for (const [id, ended] of stage.ended) expect(await stage.readCall(id)).toEqual(ended);
});
