import { expect, test } from 'vitest';
import { assessAccess } from '../../src/doctor/checks/access.ts';
import { assessClockSkew } from '../../src/doctor/checks/clock-skew.ts';
import { assessCredentials } from '../../src/doctor/checks/credentials.ts';
import { assessDatabaseFile } from '../../src/doctor/checks/database-file.ts';
import { assessDeletions } from '../../src/doctor/checks/deletions.ts';
import { assessDiskSpace } from '../../src/doctor/checks/disk-space.ts';
import { assessDurability } from '../../src/doctor/checks/durability.ts';
import { assessIntegrity } from '../../src/doctor/checks/integrity.ts';
import { assessLiveKitAddress } from '../../src/doctor/checks/livekit-address.ts';
import { assessPostgres } from '../../src/doctor/checks/postgres.ts';
import { assessRooms } from '../../src/doctor/checks/rooms.ts';
import { assessSchema } from '../../src/doctor/checks/schema.ts';
import { assessSettings } from '../../src/doctor/checks/settings.ts';
import { assessWalSize } from '../../src/doctor/checks/wal-size.ts';
import { assessWebhooks } from '../../src/doctor/checks/webhooks.ts';
import { countsWith, POSTGRES } from './facts.ts';

const ACCESS = { worldReadableFiles: [], isOwnedByUser: true, isWritable: true };
const ACCEPTED = { kind: 'answered', verdict: { kind: 'accepted', roomNames: [] }, clockSkewMs: 0 } as const;

test('every warning and every failure has advice', () => {
  const findings = [
    ...assessSettings({ kind: 'invalid', problems: ['x'] }),
    assessDatabaseFile('f', { kind: 'missing' }),
    assessDatabaseFile('f', { kind: 'unusable', detail: 'x', advice: null }),
    assessDatabaseFile('f', { kind: 'unusable', detail: 'x', advice: 'y' }),
    ...(['uninitialized', 'behind', 'ahead'] as const).map((schema) => assessSchema('f', schema)),
    assessPostgres('postgres://h/d', { kind: 'unusable', detail: 'x' }),
    assessPostgres('postgres://h/d', { ...POSTGRES, schema: 'uninitialized' }),
    assessIntegrity(['x']),
    assessDurability('delete'),
    assessAccess('f', { ...ACCESS, worldReadableFiles: ['f'] }),
    assessAccess('f', { ...ACCESS, isWritable: false }),
    assessAccess('f', { ...ACCESS, isOwnedByUser: false }),
    assessDiskSpace(0),
    assessDiskSpace(0.5 * 1024 ** 3),
    ...assessWalSize('f', 121_000_000),
    assessLiveKitAddress(null, []),
    assessLiveKitAddress(null, ['v']),
    assessLiveKitAddress({ url: 'u', facts: ACCEPTED }, ['v']),
    assessLiveKitAddress({ url: 'u', facts: { kind: 'unreachable', detail: 'x' } }, []),
    assessLiveKitAddress(
      { url: 'u', facts: { ...ACCEPTED, verdict: { kind: 'not_livekit', status: 404 } } },
      [],
    ),
    assessCredentials({ kind: 'refused', reason: 'key' }, 0),
    assessCredentials({ kind: 'refused', reason: 'token' }, 0),
    ...[8_000, 12_000, -65_000, -400_000].map(assessClockSkew),
    assessRooms({ live: 0, ended: 1, unknown: 0 }),
    assessDeletions({ ...countsWith(0), oldestOpenDeletionAt: 0 }, 1e9),
    assessDeletions(
      { ...countsWith(0), openDeletions: { ...countsWith(0).openDeletions, discarded: 1 } },
      1e9,
    ),
    assessWebhooks({ lastWebhookAt: null, counts: countsWith(2) }, 1e9),
  ];
  expect(
    findings.map(({ level }) => level).filter((level) => level !== 'warning' && level !== 'failure'),
  ).toEqual([]);
  expect(findings.filter(({ advice }) => advice === undefined)).toEqual([]);
});
