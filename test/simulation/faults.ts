import type { Fault } from '../../src/emulator/fault-injector.ts';
import { NO_WEBHOOK_FAULTS } from './livekit.ts';
import { anyHangup, type World } from './world.ts';

const METHODS = ['*', 'DeleteRoom', 'DeleteRoom', 'CreateRoom', 'ListRooms', 'ListParticipants'] as const;
const EVERYDAY = { lost: 0.03, doubled: 0.05, late: 0.05 };

const FAULT_KINDS = {
  fault: 30,
  crash: 8,
  stop: 3,
  webhooks: 5,
  storeFails: 4,
  livekitUnreachable: 4,
  clockJumps: 3,
  nodeDies: 2,
  listHasHoles: 4,
  livekitRestarts: 2,
};

/** Injects faults, also several at once, until `isEnough`. Then repairs all of them. */
export async function injectFaults(world: World, isEnough: () => boolean): Promise<void> {
  const { prng, virtualClock, livekit, hangups } = world;
  livekit.webhooks.faults = EVERYDAY;
  const under: Promise<void>[] = [];
  while (!isEnough()) {
    await virtualClock.sleep(prng.around(6_000));
    under.push(injectFault(world));
  }
  await Promise.all(under);
  livekit.webhooks.faults = NO_WEBHOOK_FAULTS;
  for (const hangup of hangups) if (!hangup.isUp) throw new Error('a hangup process was not restarted');
}

async function injectFault(world: World): Promise<void> {
  const { prng, virtualClock, eventLog, livekit } = world;
  const kind = prng.among(FAULT_KINDS);
  const hangup = anyHangup(world);
  eventLog.count(`fault: ${kind}`);
  const during = async (fault: string, forMs: number, begin: () => void, end: () => void) => {
    eventLog.recordForAllRooms(`${fault}, for ${forMs} ms`);
    begin();
    await virtualClock.sleep(forMs);
    end();
    eventLog.recordForAllRooms(`over: ${fault}`);
  };
  switch (kind) {
    case 'fault': {
      const method = prng.of(METHODS);
      const fault = randomFault(world);
      await during(
        `${method} meets ${JSON.stringify(fault)}`,
        prng.between(500, 45_000),
        () => livekit.setFault(method, fault),
        () => livekit.setFault(method, null),
      );
      return;
    }
    case 'crash': {
      if (!hangup.isUp) return;
      if (prng.happens(0.5)) {
        hangup.crashBehindACommit(prng.between(1, 20));
        while (hangup.isUp) await virtualClock.sleep(100);
      } else {
        eventLog.recordForAllRooms('hangup dies');
        hangup.crash();
      }
      await virtualClock.sleep(
        prng.happens(0.15) ? prng.between(30_000, 240_000) : prng.between(100, 15_000),
      );
      eventLog.recordForAllRooms('hangup starts');
      if (!hangup.isUp) hangup.start();
      return;
    }
    case 'stop': {
      if (!hangup.isUp) return;
      eventLog.recordForAllRooms('hangup stops');
      await hangup.stop();
      await virtualClock.sleep(prng.between(100, 10_000));
      eventLog.recordForAllRooms('hangup starts');
      if (!hangup.isUp) hangup.start();
      return;
    }
    case 'webhooks': {
      const worse = prng.of([
        { lost: 1, doubled: 0, late: 0 },
        { lost: 0.5, doubled: 0.1, late: 0.2 },
        { lost: 0, doubled: 0.3, late: 0.7 },
      ]);
      await during(
        `webhooks: ${JSON.stringify(worse)}`,
        prng.between(5_000, 120_000),
        () => {
          livekit.webhooks.faults = worse;
        },
        () => {
          livekit.webhooks.faults = EVERYDAY;
        },
      );
      return;
    }
    case 'storeFails':
      await during(
        'some database operations fail',
        prng.between(1_000, 20_000),
        () => {
          hangup.storeFails = 0.3;
        },
        () => {
          hangup.storeFails = 0;
        },
      );
      return;
    case 'livekitUnreachable':
      await during(
        "LiveKit's API is unreachable",
        prng.between(1_000, 90_000),
        () => {
          livekit.isUnreachable = true;
        },
        () => {
          livekit.isUnreachable = false;
        },
      );
      return;
    case 'clockJumps':
      await during(
        'a clock is wrong',
        prng.between(1_000, 120_000),
        () => {
          world.setClockOffset(prng.of([-500, -5_000, -60_000, -3_600_000, 5_000]));
        },
        () => {
          world.setClockOffset(0);
        },
      );
      return;
    case 'listHasHoles': {
      const left = livekit.rooms.roomNames().filter(() => prng.happens(0.5));
      await during(
        `LiveKit's list omits ${left.length} rooms`,
        prng.between(5_000, 120_000),
        () => {
          for (const name of left) livekit.rooms.unlistRoom(name);
        },
        () => {
          for (const name of left) livekit.rooms.relistRoom(name);
        },
      );
      return;
    }
    case 'nodeDies':
      eventLog.recordForAllRooms('the node of all rooms dies');
      livekit.killNode();
      for (const person of [...world.people]) person.cutOff();
      return;
    case 'livekitRestarts':
      livekit.restart();
      for (const person of [...world.people]) person.cutOff();
      await during(
        'LiveKit restarts without its rooms',
        prng.between(500, 5_000),
        () => {
          livekit.isUnreachable = true;
        },
        () => {
          livekit.isUnreachable = false;
        },
      );
  }
}

function randomFault({ prng }: World): Fault {
  const kind = prng.of([
    'status500',
    'status503',
    'status429',
    'hang',
    'reset',
    'applyThen503',
    'applyThenReset',
    'slow',
  ] as const);
  switch (kind) {
    case 'status429':
      return { kind, retryAfterS: prng.between(0, 30) };
    case 'slow':
      return { kind, delayMs: prng.of([50, 500, 3_000, 12_000]) };
    default:
      return { kind };
  }
}
