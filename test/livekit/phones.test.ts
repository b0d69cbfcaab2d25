import { beforeAll, describe, expect, test } from 'vitest';
import { freePorts } from '../harness/livekit.ts';
import { DISPATCH_PREFIX } from '../harness/phones.ts';
import {
  answerAndHangUp,
  answerAndStay,
  callAndGiveUp,
  callAndStay,
  refuse,
  ringForEver,
} from '../harness/sipp.ts';
import { Stage, statuses } from '../harness/stage.ts';

/*
 * Real phone calls: livekit-server, livekit-sip, and sipp as the phone. What is looked at is hangup's own record, by
 * its API, and the phone's own. `npm run test:livekit` runs it where these programs are.
 */

const AGENT_LEFT_GRACE_MS = 3_000;
const SETTINGS = { agentLeftGraceMs: AGENT_LEFT_GRACE_MS };
/** LiveKit reports the time of an event in whole seconds. */
const TOLD_WITHIN_MS = 2_000;

const measured: string[] = [];
function measure(what: string, ms: number): number {
  measured.push(`${what} ${ms} ms`);
  return ms;
}

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.set(SETTINGS);
  return async () => {
    process.stdout.write(`\nphones: ${measured.join('; ')}\n`);
    await stage.strike();
  };
});

describe.concurrent('phone calls', { timeout: 90_000 }, () => {
  test('a call ends within a minute when livekit-sip is killed', async () => {
    const doomed = await Stage.set(SETTINGS);
    try {
      const phone = await doomed.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
      await doomed.agent('killed');
      await doomed.call('killed', phone.address);
      await phone.saw('received', 'ACK');
      const killedAt = Date.now();
      await doomed.network.killSip();
      const call = await doomed.end('killed', 60_000);
      measure('livekit-sip killed to the room gone', Date.now() - killedAt);
      expect(call).toMatchObject({ status: 'completed', failureReason: 'CONNECTION_TIMEOUT' });
      expect(call.endedAt).toBeGreaterThan(killedAt - TOLD_WITHIN_MS);
      expect(phone.messages().at(-1)).toMatchObject({
        direction: 'received',
        line: expect.stringMatching(/^ACK/),
      });
    } finally {
      await doomed.strike();
    }
  });

  test('a call is completed when its answered phone hangs up', async () => {
    const phone = await stage.network.startPhone(answerAndHangUp({ afterRingingMs: 2_500, talkMs: 4_000 }));
    await stage.agent('hung-up');
    await stage.call('hung-up', phone.address);
    await phone.played();
    const answer = await phone.saw('sent', 'SIP/2.0 200');
    const bye = await phone.saw('sent', 'BYE');
    const call = await stage.end('hung-up');
    expect(call).toMatchObject({ status: 'completed', failureReason: null, direction: 'outbound' });
    expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(TOLD_WITHIN_MS);
    expect(statuses(call)).toEqual(['initiated', 'connecting', 'ringing', 'active', 'completed']);
    expect(measure('answer to answeredAt', (call.answeredAt ?? 0) - answer.at)).toBeLessThan(2_000);
    expect(call.answeredAt).toBeGreaterThan(answer.at - TOLD_WITHIN_MS);
    expect(call.duration).toBe(Math.round(((call.endedAt ?? 0) - (call.answeredAt ?? 0)) / 1_000));
  });

  test('a cancel hangs up an answered phone', async () => {
    const phone = await stage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
    const agent = await stage.agent('cancelled-talking');
    await stage.call('cancelled-talking', phone.address);
    await phone.saw('received', 'ACK');
    const askedAt = await stage.cancel('cancelled-talking');
    const bye = await phone.saw('received', 'BYE');
    expect(measure('DELETE to BYE', bye.at - askedAt)).toBeLessThan(1_000);
    expect(await agent.disconnected).toBe('ROOM_DELETED');
    await phone.played();
    const call = await stage.end('cancelled-talking');
    expect(call).toMatchObject({ status: 'cancelled', failureReason: null });
    expect(call.trail.find(({ to }) => to === 'cancelled')).toMatchObject({ actor: 'api_key' });
    expect(Math.abs((call.endedAt ?? 0) - askedAt)).toBeLessThan(1_000);
  });

  test('a cancel stops a ringing phone', async () => {
    const phone = await stage.network.startPhone(ringForEver());
    await stage.call('cancelled-ringing', phone.address);
    await expect.poll(() => stage.network.callStatus('cancelled-ringing')).toBe('ringing');
    const askedAt = await stage.cancel('cancelled-ringing');
    const cancel = await phone.saw('received', 'CANCEL');
    expect(measure('DELETE to CANCEL', cancel.at - askedAt)).toBeLessThan(1_000);
    await phone.played();
    const call = await stage.end('cancelled-ringing');
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
      await stage.call(id, phone.address);
      await phone.played();
      const refusal = await phone.saw('sent', `SIP/2.0 ${answer}`);
      const call = await stage.end(id);
      expect(call).toMatchObject({ status, failureReason: reason, duration: null });
      expect(statuses(call)).not.toContain('active');
      expect(Math.abs((call.endedAt ?? 0) - refusal.at)).toBeLessThan(TOLD_WITHIN_MS);
    },
  );

  test('a call becomes no_answer when its phone is not answered in time', async () => {
    const phone = await stage.network.startPhone(ringForEver());
    await stage.call('unanswered', phone.address, { ringingTimeoutS: 3 });
    const cancel = await phone.saw('received', 'CANCEL');
    await phone.played();
    const call = await stage.end('unanswered');
    expect(call).toMatchObject({ status: 'no_answer', failureReason: 'USER_UNAVAILABLE', duration: null });
    expect(statuses(call)).not.toContain('active');
    expect(Math.abs((call.endedAt ?? 0) - cancel.at)).toBeLessThan(TOLD_WITHIN_MS);
  });

  test.for(['TCP', 'UDP'] as const)(
    'a call fails when nothing listens at the address of its phone, over %s',
    async (transport) => {
      const id = `nowhere-${transport}`;
      const [port] = await freePorts(1);
      await stage.call(id, `127.0.0.1:${port}`, { transport, ringingTimeoutS: 3 });
      const call = await stage.end(id);
      expect(call).toMatchObject({ status: 'failed', failureReason: expect.any(String), duration: null });
      expect(statuses(call)).not.toContain('active');
    },
  );

  test('a cancel hangs up a caller whom an agent answered', async () => {
    const caller = '+15557770001';
    const phone = await stage.network.receive(callAndStay(), caller);
    const id = await stage.adopted(caller);
    const { roomName } = await stage.find(id);
    await stage.agent(roomName);
    const answer = await phone.saw('received', 'SIP/2.0 200');
    await expect.poll(async () => (await stage.find(id)).status).toBe('active');
    const askedAt = await stage.cancel(id);
    const bye = await phone.saw('received', 'BYE');
    expect(measure('DELETE to BYE, inbound', bye.at - askedAt)).toBeLessThan(1_000);
    await phone.played();
    const call = await stage.end(id);
    expect(call).toMatchObject({ status: 'cancelled', direction: 'inbound', phoneNumber: caller });
    expect(call.trail[0]).toMatchObject({
      action: 'call.created',
      actor: 'livekit',
      reason: `adopted by the prefix ${DISPATCH_PREFIX}`,
    });
    expect(Math.abs((call.answeredAt ?? 0) - answer.at)).toBeLessThan(TOLD_WITHIN_MS);
  });

  test('a call becomes no_answer when its caller hangs up while it rings', async () => {
    const caller = '+15557770002';
    const phone = await stage.network.receive(callAndGiveUp({ afterRingingMs: 2_000 }), caller);
    const id = await stage.adopted(caller);
    await phone.played();
    const cancel = await phone.saw('sent', 'CANCEL');
    const call = await stage.end(id);
    expect(call).toMatchObject({
      status: 'no_answer',
      failureReason: 'CLIENT_INITIATED',
      direction: 'inbound',
      duration: null,
    });
    expect(statuses(call)).not.toContain('active');
    expect(Math.abs((call.endedAt ?? 0) - cancel.at)).toBeLessThan(TOLD_WITHIN_MS);
  });

  test('a phone is hung up after the grace period when the agent leaves', async () => {
    const phone = await stage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
    const agent = await stage.agent('left-alone');
    await stage.call('left-alone', phone.address);
    await phone.saw('received', 'ACK');
    const leftAt = Date.now();
    await agent.leave();
    const bye = await phone.saw('received', 'BYE');
    const alone = measure(`agent left to BYE (grace ${AGENT_LEFT_GRACE_MS} ms)`, bye.at - leftAt);
    expect(alone).toBeGreaterThanOrEqual(AGENT_LEFT_GRACE_MS);
    expect(alone).toBeLessThan(AGENT_LEFT_GRACE_MS + 2_000);
    await phone.played();
    const call = await stage.end('left-alone');
    expect(call).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
    expect(call.trail.find(({ to }) => to === 'completed')).toMatchObject({ actor: 'reconciler' });
  });
});

test('late webhooks do not change ended calls', async () => {
  expect(stage.ended.size).toBe(12);
  for (const [id, ended] of stage.ended) expect(await stage.read(id)).toEqual(ended);
});
