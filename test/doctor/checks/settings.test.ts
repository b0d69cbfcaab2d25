import { expect, test } from 'vitest';
import { assessSettings } from '../../../src/doctor/checks/settings.ts';

const VALID = {
  kind: 'valid',
  file: null,
  isFileWorldReadable: false,
  warnings: [],
  fromFile: [],
  fromEnvironment: [],
} as const;

test.each([
  [VALID, 'from the environment: none; no .env file in this directory; defaults for all others'],
  [
    { ...VALID, fromEnvironment: ['HOST', 'PORT'] },
    'from the environment: HOST, PORT; no .env file in this directory; defaults for all others',
  ],
  [
    { ...VALID, file: '/d/.env', fromFile: ['PORT'] },
    'from the environment: none; from /d/.env: PORT; defaults for all others',
  ],
])('the settings %j are reported as ok, by name and source', (facts, message) => {
  expect(assessSettings(facts)).toEqual([{ check: 'settings', level: 'ok', message }]);
});

test('each invalid setting is a failure', () => {
  expect(assessSettings({ kind: 'invalid', problems: ['a', 'b'] })).toMatchObject([
    { level: 'failure', message: 'a' },
    { level: 'failure', message: 'b' },
  ]);
});

test('each name without effect and a world-readable .env are warnings with advice', () => {
  const facts = { ...VALID, file: '/d/.env', isFileWorldReadable: true, warnings: ['a', 'b'] };
  expect(assessSettings(facts).slice(1)).toEqual([
    {
      check: 'settings',
      level: 'warning',
      message: 'a',
      advice: expect.stringMatching(/^rename, correct or remove/),
    },
    {
      check: 'settings',
      level: 'warning',
      message: 'b',
      advice: expect.stringMatching(/^rename, correct or remove/),
    },
    {
      check: 'settings',
      level: 'warning',
      message: '/d/.env is world-readable and can contain secrets',
      advice: 'chmod 600 /d/.env',
    },
  ]);
});
