import type { Fault } from '../../src/emulator/fault-injector.ts';
import { NO_MISCHIEF } from './livekit.ts';
import { anyHangup, type World } from './world.ts';

const METHODS = ['*', 'DeleteRoom', 'DeleteRoom', 'CreateRoom', 'ListRooms', 'ListParticipants'] as const;
const EVERYDAY = { lost: 0.03, doubled: 0.05, late: 0.05 };

const TROUBLES = {
  fault: 30,
  crash: 8,
  stop: 3,
  webhooks: 5,
  storeFails: 4,
  livekitAway: 4,
  clockJumps: 3,
  nodeDies: 2,
  listHasHoles: 4,
  livekitRestarts: 2,
};

/** What goes wrong, one thing after the other and several at once, until it is enough; then all of it is repaired. */
export async function makeTrouble(world: World, isEnough: () => boolean): Promise<void> {
  const { chance, timeline, livekit, hangups } = world;
  livekit.webhooks.mischief = EVERYDAY;
  const under: Promise<void>[] = [];
  while (!isEnough()) {
    await timeline.sleep(chance.around(6_000));
    under.push(trouble(world));
  }
  await Promise.all(under);
  livekit.webhooks.mischief = NO_MISCHIEF;
  for (const hangup of hangups) if (!hangup.isUp) throw new Error('a hangup was left down');
}

async function trouble(world: World): Promise<void> {
  const { chance, timeline, chronicle, livekit, hangups } = world;
  const kind = chance.among(TROUBLES);
  const hangup = anyHangup(world);
  chronicle.count(`trouble: ${kind}`);
  const during = async (what: string, forMs: number, begin: () => void, end: () => void) => {
    chronicle.announce(`${what}, for ${forMs} ms`);
    begin();
    await timeline.sleep(forMs);
    end();
    chronicle.announce(`no longer: ${what}`);
  };
  switch (kind) {
    case 'fault': {
      const method = chance.of(METHODS);
      const fault = aFault(world);
      await during(
        `${method} meets ${JSON.stringify(fault)}`,
        chance.between(500, 45_000),
        () => livekit.setFault(method, fault),
        () => livekit.setFault(method, null),
      );
      return;
    }
    case 'crash': {
      if (!hangup.isUp) return;
      if (chance.happens(0.5)) {
        hangup.crashBehindACommit(chance.between(1, 20));
        while (hangup.isUp) await timeline.sleep(100);
      } else {
        chronicle.announce('hangup dies');
        hangup.crash();
      }
      await timeline.sleep(
        chance.happens(0.15) ? chance.between(30_000, 240_000) : chance.between(100, 15_000),
      );
      chronicle.announce('hangup starts');
      if (!hangup.isUp) hangup.start();
      return;
    }
    case 'stop': {
      if (!hangup.isUp) return;
      chronicle.announce('hangup stops');
      await hangup.stop();
      await timeline.sleep(chance.between(100, 10_000));
      chronicle.announce('hangup starts');
      if (!hangup.isUp) hangup.start();
      return;
    }
    case 'webhooks': {
      const worse = chance.of([
        { lost: 1, doubled: 0, late: 0 },
        { lost: 0.5, doubled: 0.1, late: 0.2 },
        { lost: 0, doubled: 0.3, late: 0.7 },
      ]);
      await during(
        `webhooks: ${JSON.stringify(worse)}`,
        chance.between(5_000, 120_000),
        () => {
          livekit.webhooks.mischief = worse;
        },
        () => {
          livekit.webhooks.mischief = EVERYDAY;
        },
      );
      return;
    }
    case 'storeFails':
      await during(
        'the disk fails hangup now and then',
        chance.between(1_000, 20_000),
        () => {
          hangup.storeFails = 0.3;
        },
        () => {
          hangup.storeFails = 0;
        },
      );
      return;
    case 'livekitAway':
      await during(
        "LiveKit's API is away",
        chance.between(1_000, 90_000),
        () => {
          livekit.isAway = true;
        },
        () => {
          livekit.isAway = false;
        },
      );
      return;
    case 'clockJumps':
      await during(
        "hangup's clock is wrong",
        chance.between(1_000, 120_000),
        () => {
          // Processes on one machine have one clock.
          const offsetMs = chance.of([-500, -5_000, -60_000, -3_600_000, 5_000]);
          for (const one of hangups) one.clockOffsetMs = offsetMs;
        },
        () => {
          for (const one of hangups) one.clockOffsetMs = 0;
        },
      );
      return;
    case 'listHasHoles': {
      const left = livekit.rooms.roomNames().filter(() => chance.happens(0.5));
      await during(
        `the list of rooms leaves out ${left.length} living rooms`,
        chance.between(5_000, 120_000),
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
      chronicle.announce('the node of all rooms dies');
      livekit.killNode();
      for (const person of [...world.people]) person.cutOff();
      return;
    case 'livekitRestarts':
      livekit.restart();
      for (const person of [...world.people]) person.cutOff();
      await during(
        'LiveKit restarts, and has forgotten all rooms',
        chance.between(500, 5_000),
        () => {
          livekit.isAway = true;
        },
        () => {
          livekit.isAway = false;
        },
      );
  }
}

function aFault({ chance }: World): Fault {
  const kind = chance.of([
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
      return { kind, retryAfterS: chance.between(0, 30) };
    case 'slow':
      return { kind, delayMs: chance.of([50, 500, 3_000, 12_000]) };
    default:
      return { kind };
  }
}
