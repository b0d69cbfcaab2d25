import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { CALLEE_ROOM, DIRECT_ROOM } from '../harness/phones.ts';
import {
  answerAndStay,
  answerAndTalk,
  callAndStay,
  callAndTalk,
  refuse,
  ringAndTalk,
} from '../harness/sipp.ts';
import { Stage, statuses } from '../harness/stage.ts';
import { poll } from '../harness/time.ts';

/* Several real phones in one room: transfers, hunt groups, and dispatch rules that give all callers one room. */

const GRACE_MS = 3_000;
/** Longer than both grace periods and a few reconciliations. */
const TALK_MS = 4 * GRACE_MS;
const reconcileSchedule = '*/2 * * * * *';
/** LiveKit reports the time of an event in whole seconds. */
const EVENT_TIME_TOLERANCE_MS = 2_000;

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.start({
    agentLeftGraceMs: GRACE_MS,
    reconnectGraceMs: GRACE_MS,
    reconcileSchedule,
  });
  return () => stage.stop();
}, 60_000);

/** Waits longer than each grace period and expects the call to be active. */
async function expectTalking(id: string, phones: readonly { messages(): readonly { line: string }[] }[]) {
  await sleep(TALK_MS);
  const { status, roomName } = await stage.find(id);
  expect(status).toBe('active');
  expect(await stage.network.livekit.roomNames()).toContain(roomName);
  for (const phone of phones) {
    expect(phone.messages().map(({ line }) => line)).not.toContainEqual(expect.stringMatching(/^BYE/));
  }
}

describe.concurrent('several phones', { timeout: 180_000 }, () => {
  test('a warm transfer continues without its agent until both phones have hung up', async () => {
    const agent = await stage.joinAgent('transfer');
    const customer = await stage.network.startPhone(answerAndTalk({ afterRingingMs: 500 }));
    await stage.placeCall('transfer', customer.address);
    await stage.waitForStatus('transfer', 'active');
    const colleague = await stage.network.startPhone(answerAndTalk({ afterRingingMs: 500 }));
    await stage.network.dial('transfer', colleague.address, {
      identity: 'colleague',
      number: '+15557654321',
    });
    await colleague.waitForMessage('received', 'ACK');
    await agent.leave();
    await expectTalking('transfer', [customer, colleague]);
    await colleague.continueScript();
    await customer.continueScript();
    await Promise.all([colleague.scriptEnded(), customer.scriptEnded()]);
    const byes = [
      await colleague.waitForMessage('sent', 'BYE'),
      await customer.waitForMessage('sent', 'BYE'),
    ];
    const call = await stage.waitForEnd('transfer');
    expect(call).toMatchObject({
      status: 'completed',
      failureReason: null,
      direction: 'outbound',
      phoneNumber: '+15551234567',
    });
    const last = Math.max(...byes.map(({ at }) => at));
    expect(Math.abs((call.endedAt ?? 0) - last)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
    expect(call.duration).toBe(Math.round(((call.endedAt ?? 0) - (call.answeredAt ?? 0)) / 1_000));
  });

  test('a phone left alone in a warm transfer is hung up after the grace period', async () => {
    const agent = await stage.joinAgent('transfer-left');
    const customer = await stage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
    await stage.placeCall('transfer-left', customer.address);
    await stage.waitForStatus('transfer-left', 'active');
    const colleague = await stage.network.startPhone(answerAndTalk({ afterRingingMs: 500 }));
    await stage.network.dial('transfer-left', colleague.address, { identity: 'colleague' });
    await colleague.waitForMessage('received', 'ACK');
    await agent.leave();
    await expectTalking('transfer-left', [customer, colleague]);
    await colleague.continueScript();
    const left = await colleague.waitForMessage('sent', 'BYE');
    const bye = await customer.waitForMessage('received', 'BYE');
    expect(bye.at - left.at).toBeGreaterThanOrEqual(GRACE_MS);
    await Promise.all([colleague.scriptEnded(), customer.scriptEnded()]);
    const call = await stage.waitForEnd('transfer-left');
    expect(call).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
    expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a transfer keeps the direction and the number of the call', async () => {
    const number = '+15557770011';
    const caller = await stage.network.receive(callAndTalk(), number);
    const id = await stage.findAdoptedCall(number);
    const { roomName } = await stage.find(id);
    const agent = await stage.joinAgent(roomName);
    await stage.waitForStatus(id, 'active');
    const colleague = await stage.network.startPhone(answerAndTalk({ afterRingingMs: 500 }));
    await stage.network.dial(roomName, colleague.address, { identity: 'colleague', number: '+15557654321' });
    await colleague.waitForMessage('received', 'ACK');
    await agent.leave();
    await expectTalking(id, [caller, colleague]);
    await caller.continueScript();
    await colleague.continueScript();
    await Promise.all([colleague.scriptEnded(), caller.scriptEnded()]);
    const byes = [await colleague.waitForMessage('sent', 'BYE'), await caller.waitForMessage('sent', 'BYE')];
    const call = await stage.waitForEnd(id);
    expect(call).toMatchObject({
      status: 'completed',
      failureReason: null,
      direction: 'inbound',
      phoneNumber: number,
    });
    const last = Math.max(...byes.map(({ at }) => at));
    expect(Math.abs((call.endedAt ?? 0) - last)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a phone answered after its agent left is hung up after the grace period', async () => {
    const agent = await stage.joinAgent('left-before');
    const phone = await stage.network.startPhone(ringAndTalk());
    await stage.placeCall('left-before', phone.address);
    await poll(() => stage.network.callStatus('left-before')).toBe('ringing');
    await agent.leave();
    await phone.continueScript();
    const bye = await phone.waitForMessage('received', 'BYE');
    const call = await stage.waitForEnd('left-before');
    expect(call).toMatchObject({ status: 'completed', failureReason: 'AGENT_LEFT' });
    expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a hunt group is active when one phone is busy and another phone answers', async () => {
    await stage.joinAgent('hunt-busy');
    const busy = await stage.network.startPhone(refuse('486 Busy Here', { afterRingingMs: 500 }));
    const answering = await stage.network.startPhone(ringAndTalk());
    await stage.placeCall('hunt-busy', busy.address, { identity: 'first' });
    await stage.network.dial('hunt-busy', answering.address, { identity: 'second', number: '+15557654321' });
    await busy.scriptEnded();
    await poll(async () => {
      return (await stage.network.callStatus('hunt-busy', 'second')) === 'ringing';
    }).toBe(true);
    await poll(async () => {
      return (await stage.network.callStatus('hunt-busy', 'first')) === undefined;
    }).toBe(true);
    await sleep(GRACE_MS);
    expect(await stage.find('hunt-busy')).toMatchObject({ status: 'ringing', endedAt: null });
    await answering.continueScript();
    await answering.waitForMessage('received', 'ACK');
    await stage.waitForStatus('hunt-busy', 'active');
    await expectTalking('hunt-busy', [answering]);
    await answering.continueScript();
    await answering.scriptEnded();
    const bye = await answering.waitForMessage('sent', 'BYE');
    const call = await stage.waitForEnd('hunt-busy');
    expect(call).toMatchObject({ status: 'completed', failureReason: null, phoneNumber: '+15551234567' });
    expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a hunt group stays active when a second phone answers after the first has hung up', async () => {
    await stage.joinAgent('hunt-late');
    const first = await stage.network.startPhone(answerAndTalk({ afterRingingMs: 500 }));
    const second = await stage.network.startPhone(ringAndTalk());
    await stage.placeCall('hunt-late', first.address, { identity: 'first' });
    await stage.network.dial('hunt-late', second.address, { identity: 'second' });
    await stage.waitForStatus('hunt-late', 'active');
    await poll(async () => {
      return (await stage.network.callStatus('hunt-late', 'second')) === 'ringing';
    }).toBe(true);
    await first.continueScript();
    await first.scriptEnded();
    await sleep(GRACE_MS);
    expect(await stage.find('hunt-late')).toMatchObject({ status: 'active', endedAt: null });
    await second.continueScript();
    await second.waitForMessage('received', 'ACK');
    await expectTalking('hunt-late', [second]);
    await second.continueScript();
    await second.scriptEnded();
    const bye = await second.waitForMessage('sent', 'BYE');
    const call = await stage.waitForEnd('hunt-late');
    expect(call).toMatchObject({ status: 'completed', failureReason: null });
    expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
  });

  test('a phone that returns after its node was lost keeps the call active until it hangs up', async () => {
    const reconnectGraceMs = 25_000;
    const separateStage = await Stage.start({
      agentLeftGraceMs: GRACE_MS,
      reconnectGraceMs,
      reconcileSchedule,
    });
    try {
      const called = await separateStage.network.startPhone(answerAndTalk({ afterRingingMs: 500 }));
      await separateStage.joinAgent('returns');
      await separateStage.placeCall('returns', called.address);
      const number = '+15557770021';
      const caller = await separateStage.network.receive(callAndTalk(), number);
      const inbound = await separateStage.findAdoptedCall(number);
      await separateStage.joinAgent((await separateStage.find(inbound)).roomName);
      const left = await separateStage.network.startPhone(answerAndStay({ afterRingingMs: 500 }));
      const agentLost = await separateStage.joinAgent('agent-lost');
      await separateStage.placeCall('agent-lost', left.address);
      const calls = [
        { id: 'returns', phone: called },
        { id: inbound, phone: caller },
      ];
      for (const id of ['returns', inbound, 'agent-lost']) await separateStage.waitForStatus(id, 'active');
      await separateStage.network.livekit.kill();
      await agentLost.leave();
      // livekit-sip and the agents reconnect as new participants.
      await separateStage.network.livekit.start();
      for (const { id } of calls) {
        const hasReturned = async () => {
          const { call } = (await separateStage.hangup.store.findCall(id)) ?? {};
          const members = call?.roster?.members ?? [];
          return ['phone', 'agent'].every((role) => {
            const sameRole = members.filter((member) => member.role === role);
            return (
              sameRole.length === 2 && sameRole.filter(({ departure }) => departure === null).length === 1
            );
          });
        };
        await poll(hasReturned, { timeout: 60_000 }).toBe(true);
      }
      // LiveKit still lists the agent that did not return, but the phone is alone.
      await left.waitForMessage('received', 'BYE', 90_000);
      expect(await separateStage.waitForEnd('agent-lost')).toMatchObject({
        status: 'completed',
        failureReason: 'AGENT_LEFT',
      });
      await sleep(reconnectGraceMs);
      for (const { id, phone } of calls) {
        expect(await separateStage.find(id)).toMatchObject({ status: 'active', endedAt: null });
        expect(phone.messages().at(-1)?.line).toMatch(/^ACK/);
        await phone.continueScript();
        await phone.scriptEnded();
        const bye = await phone.waitForMessage('sent', 'BYE');
        const call = await separateStage.waitForEnd(id);
        expect(call).toMatchObject({ status: 'completed', failureReason: null });
        expect(Math.abs((call.endedAt ?? 0) - bye.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
      }
    } finally {
      await separateStage.stop();
    }
  });

  test.for([
    { rule: 'direct', roomName: DIRECT_ROOM, numbers: ['+15557771001', '+15557771002', '+15557771003'] },
    { rule: 'callee', roomName: CALLEE_ROOM, numbers: ['+15557772001', '+15557772002', '+15557772003'] },
  ] as const)(
    'the $rule dispatch rule makes successive callers separate calls, and two concurrent callers one call',
    async ({ rule, roomName, numbers: [first, second, third] }) => {
      const callFrom = (number: string, script = callAndTalk()) =>
        stage.network.receive(script, number, rule);
      const hangUp = async (phone: Awaited<ReturnType<typeof callFrom>>) => {
        await phone.continueScript();
        await phone.scriptEnded();
        return phone.waitForMessage('sent', 'BYE');
      };
      // The first caller creates the room.
      const a = await callFrom(first);
      const callOfA = await stage.findAdoptedCall(first);
      const agentOfA = await stage.joinAgent(roomName);
      await stage.waitForStatus(callOfA, 'active');
      const byeOfA = await hangUp(a);
      const endOfA = await stage.waitForEnd(callOfA);
      expect(endOfA).toMatchObject({
        status: 'completed',
        direction: 'inbound',
        failureReason: null,
        roomName,
      });
      expect(Math.abs((endOfA.endedAt ?? 0) - byeOfA.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
      expect(await agentOfA.disconnected).toBe('ROOM_DELETED');

      // The second caller joins a new session of the room.
      const b = await callFrom(second);
      const callOfB = await stage.findAdoptedCall(second);
      await stage.joinAgent(roomName);
      await stage.waitForStatus(callOfB, 'active');
      // The third caller joins the second call, because they share a room.
      const c = await callFrom(third);
      await c.waitForMessage('sent', 'ACK');
      await expectTalking(callOfB, [b, c]);
      expect(await stage.callIdsFrom(third)).toEqual([]);
      await hangUp(b);
      await expectTalking(callOfB, [c]);
      const byeOfC = await hangUp(c);
      const endOfB = await stage.waitForEnd(callOfB);
      expect(endOfB).toMatchObject({ status: 'completed', phoneNumber: second, failureReason: null });
      expect(Math.abs((endOfB.endedAt ?? 0) - byeOfC.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);

      // The first caller calls again, is cancelled, and calls a third time.
      const again = await callFrom(first, callAndStay());
      const callOfAgain = await stage.findAdoptedCall(first, [callOfA]);
      await stage.joinAgent(roomName);
      await stage.waitForStatus(callOfAgain, 'active');
      await stage.cancel(callOfAgain);
      await again.waitForMessage('received', 'BYE');
      await again.scriptEnded();
      expect(await stage.waitForEnd(callOfAgain)).toMatchObject({ status: 'cancelled', phoneNumber: first });

      const last = await callFrom(first);
      const callOfLast = await stage.findAdoptedCall(first, [callOfA, callOfAgain]);
      await stage.joinAgent(roomName);
      await stage.waitForStatus(callOfLast, 'active');
      await expectTalking(callOfLast, [last]);
      const byeOfLast = await hangUp(last);
      const end = await stage.waitForEnd(callOfLast);
      expect(end).toMatchObject({ status: 'completed', failureReason: null });
      expect(statuses(end).at(-1)).toBe('completed');
      expect(Math.abs((end.endedAt ?? 0) - byeOfLast.at)).toBeLessThan(EVENT_TIME_TOLERANCE_MS);
    },
  );
});

test('late webhooks do not change ended calls', async () => {
  expect(stage.ended.size).toBe(14);
  for (const [id, ended] of stage.ended) expect(await stage.readCall(id)).toEqual(ended);
});
