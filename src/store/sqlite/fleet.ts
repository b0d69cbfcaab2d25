import { eq, inArray, sql } from 'drizzle-orm';
import { type Heartbeat, type HeartbeatCommand, onHeartbeat } from '../../domain/fleet.ts';
import type { Timestamp } from '../../domain/time.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { fleetMembers, passLeases } from './schema.ts';
import { columnsOf, placeholdersFor, prepareRows, prepareRun, valuesOf } from './statement.ts';

const { placeholder } = sql;

const statements = preparePerConnection((db) => {
  const member = placeholdersFor({ expiresAt: true, rateDivisor: true });
  const lease = placeholdersFor({ holder: true, fence: true });
  return {
    members: prepareRows(db, db.select(columnsOf(fleetMembers)).from(fleetMembers)),
    leases: prepareRows(db, db.select(columnsOf(passLeases)).from(passLeases)),
    writeMember: prepareRun(
      db,
      db
        .insert(fleetMembers)
        .values({ ...placeholdersFor({ id: true }), ...member })
        .onConflictDoUpdate({ target: fleetMembers.id, set: member }),
    ),
    writeLease: prepareRun(
      db,
      db
        .insert(passLeases)
        .values({ ...placeholdersFor({ pass: true }), ...lease })
        .onConflictDoUpdate({ target: passLeases.pass, set: lease }),
    ),
    deleteMembers: prepareRun(db, db.delete(fleetMembers).where(inArray(fleetMembers.id, valuesOf('ids')))),
    release: prepareRun(
      db,
      db
        .update(passLeases)
        .set({ holder: null })
        .where(eq(passLeases.holder, placeholder('memberId'))),
    ),
  };
});

export function heartbeat(db: Database, command: HeartbeatCommand, now: Timestamp): Heartbeat {
  const { members, leases, writeMember, writeLease, deleteMembers } = statements(db);
  const decision = onHeartbeat({ members: members.all(), leases: leases.all(), now }, command);
  if (decision.expired.length > 0) deleteMembers.run({ ids: JSON.stringify(decision.expired) });
  writeMember.run({ ...decision.member });
  for (const lease of decision.leases) writeLease.run({ ...lease });
  return decision.heartbeat;
}

export function leaveFleet(db: Database, { memberId }: { memberId: string }): void {
  statements(db).release.run({ memberId });
  statements(db).deleteMembers.run({ ids: JSON.stringify([memberId]) });
}
