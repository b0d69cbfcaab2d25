import { expect, test } from 'vitest';
import { texts } from '../../src/console/texts.ts';
import { isolate, showControls } from '../../src/console/ui/isolate.ts';

const FIRST_STRONG_ISOLATE = '\u2068';
const POP_ISOLATE = '\u2069';
const OVERRIDE = '\u202e';

test('text from left to right is unchanged, so that a copy has no invisible characters', () => {
  for (const text of ['receptionist', 'Zoë 😀 – 5', '客服', '+15551234567', '']) {
    expect(isolate(text)).toBe(text);
    expect(showControls(text)).toBe(text);
  }
});

test.each(['שירה', 'سارة', 'agent ב', 'a\u200fb', '𐤀'])('%j is isolated in a sentence', (text) => {
  expect(isolate(text)).toBe(`${FIRST_STRONG_ISOLATE}${text}${POP_ISOLATE}`);
  expect(showControls(text)).toBe(text);
});

test('a control of the direction is shown, and cannot end the isolation', () => {
  expect(showControls(`${POP_ISOLATE}${OVERRIDE}abc`)).toBe('��abc');
  expect(isolate(`${POP_ISOLATE}${OVERRIDE}abc`)).toBe(`${FIRST_STRONG_ISOLATE}��abc${POP_ISOLATE}`);
  for (const code of [0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069]) {
    expect(showControls(String.fromCodePoint(code)), code.toString(16)).toBe('�');
  }
});

test('each sentence isolates the text of a client', () => {
  const name = `${OVERRIDE}name`;
  const sentences = [
    texts.navigation.signedInWith(name, 'acme'),
    texts.navigation.signedInWith('operators', name),
    texts.keys.createdTitle(name),
    texts.keys.revokeTitle(name),
    texts.prefixes.removeTitle(name),
    texts.calls.emptySearch(name),
    texts.call.notFoundNext(name),
    texts.stop.choose.agentDetails('id', name, 1),
    texts.stop.selector.agentId(name),
    texts.stop.selector.phoneNumber(name),
    texts.roomDeletions.room(name),
    texts.roomDeletions.retried([name]),
  ];
  for (const sentence of sentences) expect(sentence).toContain(isolate(name));
});
