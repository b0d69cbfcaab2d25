import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { blocksOf, readPages } from '../scripts/docs/blocks.ts';
import { CALL_STATUSES, canTransition } from '../src/domain/call-status.ts';
import { resolveAttempt } from '../src/domain/leased-task.ts';
import {
  DELETION_STATES,
  type DeleteRoomOutcome,
  type DeletionState,
  OPEN_DELETION_STATES,
  toAttemptOutcome,
} from '../src/domain/room-deletion.ts';
import { completeDeletion, leaseDeletion, scheduleDeletion } from '../src/domain/schedule-deletion.ts';

/* The diagrams of README.md and docs, and docs/architecture.md, against the code. test/docs.test.ts has the other pages. */

const ROOT = resolve(import.meta.dirname, '..');
const PAGE = join(ROOT, 'docs/architecture.md');
const blocks = readPages()
  .flatMap(({ page, text }) => blocksOf(page, text))
  .filter(({ language }) => language === 'mermaid');

const MERMAID_LINES: Readonly<Record<string, RegExp>> = {
  'flowchart LR':
    /^\w+(?:\["[^"]+"\]|\[\("[^"]+"\)\])? (?:-->\|"[^"]+"\||---) \w+(?:\["[^"]+"\]|\[\("[^"]+"\)\])?$/,
  stateDiagramV2: /^(?:state "[^"]+" as \w+ \{|\}|(?:\[\*\]|\w+) --> \w+(?:: [^:]+)?)$/,
};

test('every Mermaid diagram has only lines of its kind', () => {
  const diagrams = blocks.map(({ code }) =>
    code
      .trim()
      .split('\n')
      .map((line) => line.trim()),
  );
  expect(diagrams.length).toBeGreaterThanOrEqual(3);
  for (const [kind = '', ...lines] of diagrams) {
    const pattern = MERMAID_LINES[kind === 'stateDiagram-v2' ? 'stateDiagramV2' : kind];
    expect(pattern, kind).toBeDefined();
    expect(lines.filter((line) => !pattern?.test(line))).toEqual([]);
  }
});

/** The arrows of a state diagram of docs/architecture.md. A group's arrow starts at each member of the group. */
function arrowsOf(heading: string): (readonly [from: string, to: string])[] {
  const page = readFileSync(PAGE, 'utf8');
  const section = page.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const arrows = (text: string) =>
    [...text.matchAll(/(\w+) --> (\w+)/g)].map(([, from = '', to = '']) => [from, to] as const);
  const groups = new Map(
    [...section.matchAll(/as (\w+) \{(.*?)\}/gs)].map(([, name = '', body = '']) => [
      name,
      [...new Set(arrows(body).flat())],
    ]),
  );
  return arrows(section).flatMap(([from, to]) =>
    (groups.get(from) ?? [from]).map((member) => [member, to] as const),
  );
}

test('the diagram of call statuses allows exactly the changes of the domain', () => {
  const arrows = arrowsOf('Call statuses');
  const reachableFrom = (status: string): string[] =>
    arrows.flatMap(([from, to]) => (from === status ? [to, ...reachableFrom(to)] : []));
  for (const from of CALL_STATUSES) {
    const followers = CALL_STATUSES.filter((to) => canTransition(from, to));
    expect(new Set(reachableFrom(from)), from).toEqual(new Set(followers));
  }
});

const LEASE = { now: 0, leaseMs: 1 };

test('the diagram of room deletions has exactly the changes of the domain', () => {
  const arrows = arrowsOf('States of a room deletion');
  expect(new Set(arrows.flat())).toEqual(new Set(DELETION_STATES));
  const policy = { initialDelayMs: 1_000, maxDelayMs: 60_000, maxAgeMs: 86_400_000 };
  const resultOf = (outcome: DeleteRoomOutcome, now: number) =>
    resolveAttempt({ attempt: 1, createdAt: 0 }, toAttemptOutcome(outcome), { policy, now, random: 0 }).state;
  const failed = { kind: 'timed_out', detail: '' } as const;
  const results = [resultOf({ kind: 'absent' }, 0), resultOf(failed, 0), resultOf(failed, policy.maxAgeMs)];
  const call = { id: 'c1', roomName: 'room', cancellationId: null };
  const inState = (state: DeletionState) => ({ ...scheduleDeletion(call, null, 0), state });
  const expected = [
    ...results.map((to) => ['running', to]),
    // Every open deletion can be claimed, a running one after its lease.
    ...OPEN_DELETION_STATES.map((from) => [from, leaseDeletion(call, inState(from), LEASE).state]),
    // The room was recreated. A deletion that is already due stays available.
    ...DELETION_STATES.filter((from) => from !== 'available').map((from) => [
      from,
      scheduleDeletion(call, inState(from), 0).state,
    ]),
    // A newer call completes every incomplete deletion.
    ...DELETION_STATES.filter((from) => from !== 'completed').map((from) => [
      from,
      completeDeletion(inState(from), 0).state,
    ]),
  ];
  const edges = (pairs: readonly (readonly string[])[]) => pairs.map((pair) => pair.join(' --> '));
  expect(new Set(edges(arrows))).toEqual(new Set(edges(expected)));
  expect(edges(arrows)).toHaveLength(new Set(edges(expected)).size);
});

test('docs/architecture.md lists the folders of src', () => {
  const text = readFileSync(PAGE, 'utf8');
  const section = /^## Folders\n.*?(?=^## )/ms.exec(text)?.[0] ?? '';
  const listed = [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(new Set(listed)).toEqual(new Set(folders));
});
