import { expect, test } from 'vitest';
import { StoreBusyError } from '../../src/domain/errors.ts';
import { createWriteQueue, type Outcome, type Write } from '../../src/store/sqlite/write-queue.ts';

const BUSY = new Error('busy');
const DISK_FULL = new Error('disk full');

interface NamedWrite extends Write {
  readonly name: string;
}

/** Returns a write queue with a clock, a lock and a disk that the test controls. */
function createQueue() {
  let nowMs = 0;
  let isLocked = false;
  let commitFault: Error | null = null;
  let plans: { atMs: number; run: () => void }[] = [];
  let arriving: NamedWrite[] = [];
  const ended: string[] = [];
  const commits: string[][] = [];
  let inCommit: string[] | null = null;
  let onReceive = () => {};

  const describe = (outcome: Outcome<NamedWrite>) => {
    if ('result' in outcome) return `${String(outcome.result)} done`;
    const { error } = outcome;
    return `${outcome.write.name} ${error instanceof StoreBusyError ? 'busy' : String(error)}`;
  };
  const queue = createWriteQueue<NamedWrite>({
    nowMs: () => nowMs,
    after: (delayMs, run) => plans.push({ atMs: nowMs + delayMs, run }),
    isBusy: (error) => error === BUSY,
    transaction: {
      commit(work) {
        if (isLocked) throw BUSY;
        const commit: string[] = [];
        inCommit = commit;
        try {
          work();
          if (commitFault !== null) throw commitFault;
          commits.push(commit);
        } finally {
          inCommit = null;
        }
      },
      attempt(write) {
        try {
          return { result: write() };
        } catch (error) {
          if (error === DISK_FULL) throw error;
          return { error };
        }
      },
    },
    receive() {
      const received = arriving;
      arriving = [];
      onReceive();
      return received;
    },
    reply(outcomes) {
      // Responses before the commit could be lost.
      expect(inCommit).toBeNull();
      ended.push(...outcomes.map((outcome) => `${nowMs} ${describe(outcome)}`));
    },
  });

  const write = (
    name: string,
    {
      expiresAtMs = 3_000,
      fault = null as Error | null,
      isAlone = false,
      tookMs = 0,
      during = () => {},
    } = {},
  ): NamedWrite => ({
    name,
    expiresAtMs,
    isAlone,
    run() {
      if (isAlone && isLocked) throw BUSY;
      nowMs += tookMs;
      during();
      if (fault !== null) throw fault;
      if (isAlone) commits.push([name]);
      else inCommit?.push(name);
      return name;
    },
  });
  return {
    queue,
    ended,
    commits,
    write,
    push: (...args: Parameters<typeof write>) => queue.push([write(...args)]),
    /** Arrives during the current commit. */
    arrive: (...args: Parameters<typeof write>) => arriving.push(write(...args)),
    lock(isNow: boolean) {
      isLocked = isNow;
    },
    /** Runs at the next request for arrived writes, like a request to close that arrived with them. */
    beforeNextReceive(run: () => void) {
      onReceive = () => {
        onReceive = () => {};
        run();
      };
    },
    failCommits(fault: Error | null) {
      commitFault = fault;
    },
    passTo(atMs: number) {
      while (plans.some((plan) => plan.atMs <= atMs)) {
        const [next, ...rest] = plans.toSorted((a, b) => a.atMs - b.atMs);
        plans = rest;
        nowMs = next?.atMs ?? nowMs;
        next?.run();
      }
      nowMs = atMs;
    },
  };
}

const names = (count: number) => Array.from({ length: count }, (_, i) => `w${i}`);

test('a write runs at once when no lock is held', () => {
  const { push, ended } = createQueue();
  push('a');
  expect(ended).toEqual(['0 a done']);
});

test('writes that arrive during a commit share the next commit', () => {
  const { push, arrive, commits, ended } = createQueue();
  const during = () => {
    for (const name of ['b', 'c', 'd']) arrive(name);
  };
  push('a', { during });
  expect(commits).toEqual([['a'], ['b', 'c', 'd']]);
  expect(ended).toEqual(['0 a done', '0 b done', '0 c done', '0 d done']);
});

test('writes that wait for a lock run in order after its release', () => {
  const { push, lock, passTo, ended } = createQueue();
  lock(true);
  for (const name of ['a', 'b', 'c']) push(name);
  passTo(2_000);
  expect(ended).toEqual([]);
  lock(false);
  passTo(2_020);
  expect(ended.map((line) => line.split(' ').slice(1).join(' '))).toEqual(['a done', 'b done', 'c done']);
});

test('each waiting write fails at its own deadline', () => {
  const { push, lock, passTo, ended } = createQueue();
  lock(true);
  push('long', { expiresAtMs: 3_000 });
  push('short', { expiresAtMs: 500 });
  passTo(600);
  expect(ended).toHaveLength(1);
  expect(ended[0]).toMatch(/^5\d\d short busy$/);
  push('later', { expiresAtMs: 3_600 });
  passTo(3_100);
  expect(ended[1]).toMatch(/^30\d\d long busy$/);
  lock(false);
  passTo(3_200);
  expect(ended[2]).toMatch(/^31\d\d later done$/);
  expect(ended).toHaveLength(3);
});

test('a write does not start after its deadline', () => {
  const { push, ended, passTo } = createQueue();
  passTo(1_000);
  push('old', { expiresAtMs: 900 });
  expect(ended).toEqual(['1000 old busy']);
});

test('a failed write does not undo or delay the other writes of its commit', () => {
  const { queue, write, ended, commits } = createQueue();
  queue.push([write('a'), write('b', { fault: new Error('constraint failed') }), write('c')]);
  expect(commits).toEqual([['a', 'c']]);
  expect(ended).toEqual(['0 a done', '0 b Error: constraint failed', '0 c done']);
});

test('every write of a commit fails when the commit fails, and later writes succeed', () => {
  const { queue, write, push, failCommits, ended, commits } = createQueue();
  failCommits(new Error('I/O error'));
  queue.push(['a', 'b', 'c'].map((name) => write(name)));
  expect(commits).toEqual([]);
  expect(ended).toEqual(['0 a Error: I/O error', '0 b Error: I/O error', '0 c Error: I/O error']);
  failCommits(null);
  push('d');
  expect(ended.slice(3)).toEqual(['0 d done']);
});

test('a write whose error ended the complete transaction fails with the writes before it, and later writes run', () => {
  const { queue, write, ended, commits } = createQueue();
  queue.push([write('a'), write('b', { fault: DISK_FULL }), write('c')]);
  expect(ended).toEqual(['0 a Error: disk full', '0 b Error: disk full', '0 c done']);
  expect(commits).toEqual([['c']]);
});

test('all writes of a commit run again when a lock interrupts the commit', () => {
  const { queue, write, failCommits, passTo, ended, commits } = createQueue();
  failCommits(BUSY);
  queue.push(['a', 'b'].map((name) => write(name)));
  expect(ended).toEqual([]);
  failCommits(null);
  passTo(1);
  expect(commits).toEqual([['a', 'b']]);
  expect(ended).toEqual(['1 a done', '1 b done']);
});

test('a commit has at most 256 writes', () => {
  const { queue, write, commits } = createQueue();
  queue.push(names(600).map((name) => write(name)));
  expect(commits.map(({ length }) => length)).toEqual([256, 256, 88]);
  expect(commits.flat()).toEqual(names(600));
});

test('a commit starts no write after 10 ms, and takes at least one', () => {
  const { queue, write, commits } = createQueue();
  queue.push([4, 4, 4, 30, 1].map((tookMs, i) => write(`w${i}`, { tookMs })));
  expect(commits).toEqual([['w0', 'w1', 'w2'], ['w3'], ['w4']]);
});

test('a write that cannot share a commit runs between two commits', () => {
  const { queue, write, commits, ended } = createQueue();
  queue.push([write('a'), write('b'), write('prune', { isAlone: true }), write('c')]);
  expect(commits).toEqual([['a', 'b'], ['prune'], ['c']]);
  expect(ended).toHaveLength(4);
});

test('a write that cannot share a commit waits for a lock, and its error concerns no other write', () => {
  const { queue, write, lock, passTo, ended } = createQueue();
  lock(true);
  queue.push([write('prune', { isAlone: true, fault: new Error('fault') }), write('a')]);
  expect(ended).toEqual([]);
  lock(false);
  passTo(1);
  expect(ended).toEqual(['1 prune Error: fault', '1 a done']);
});

test('drained resolves when the last write has ended', async () => {
  const { queue, push, lock, passTo, ended } = createQueue();
  await queue.drained();
  lock(true);
  push('a', { expiresAtMs: 500 });
  let isDrained = false;
  const drained = queue.drained().then(() => {
    isDrained = true;
  });
  await Promise.resolve();
  expect(isDrained).toBe(false);
  passTo(600);
  await drained;
  expect(ended).toHaveLength(1);
});

test.each(['an empty queue', 'a commit'])(
  'drained waits for writes that arrive after %s together with the request to close',
  async (before) => {
    const { queue, push, arrive, lock, passTo, beforeNextReceive, ended } = createQueue();
    let drainedAfter: number | null = null;
    const close = () => {
      void queue.drained().then(() => {
        drainedAfter = ended.length;
      });
    };
    const during = () => {
      lock(true);
      arrive('b', { expiresAtMs: 500 });
      beforeNextReceive(close);
    };
    if (before === 'a commit') push('a', { during });
    else {
      during();
      queue.push([]);
    }
    await Promise.resolve();
    expect(drainedAfter).toBeNull();
    lock(false);
    passTo(100);
    await expect.poll(() => drainedAfter).toBe(ended.length);
    expect(ended.at(-1)).toMatch(/b done$/);
  },
);
