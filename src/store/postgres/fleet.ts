import { StoreBusyError } from '../../domain/errors.ts';
import { type Heartbeat, type HeartbeatCommand, onHeartbeat } from '../../domain/fleet.ts';
import { upsertRows } from './bulk.ts';
import type { Database } from './database.ts';
import { type Lock, takeLocks } from './locks.ts';
import { fleetMembers, passLeases } from './schema.ts';
import { build, columnsOf, prepareRows, prepareSql } from './session.ts';
import { decideInTransaction, type Transaction, transaction } from './transaction.ts';

const LOCKS: readonly Lock[] = [{ key: 'fleet', isShared: false }];

const listMembers = prepareRows(build.select(columnsOf(fleetMembers)).from(fleetMembers));
const listLeases = prepareRows(build.select(columnsOf(passLeases)).from(passLeases));
const saveMembers = upsertRows(fleetMembers, ['id', 'expiresAt', 'rateDivisor'], ['id']);
const saveLeases = upsertRows(passLeases, ['pass', 'holder', 'fence'], ['pass']);
const deleteMembers = prepareSql('DELETE FROM fleet_members WHERE id = ANY($1::text[])');
const release = prepareSql('UPDATE pass_leases SET holder = NULL WHERE holder = $1');

/**
 * @param expiresAtMs by `performance.now()`: the sender then gives up. A later decision would release a pass, or change a
 * part of the rate limit, that a newer heartbeat granted.
 */
export function heartbeat(
  db: Database,
  command: HeartbeatCommand,
  { expiresAtMs }: { expiresAtMs: number },
): Promise<Heartbeat> {
  return decideInTransaction(
    db,
    db,
    async (session) => {
      const [, members, leases] = await Promise.all([
        takeLocks(session, LOCKS),
        listMembers.all(session),
        listLeases.all(session),
      ]);
      return { members, leases };
    },
    (rows, now) => {
      if (performance.now() >= expiresAtMs) throw new StoreBusyError();
      const { heartbeat: result, member, expired, leases } = onHeartbeat({ ...rows, now }, command);
      return {
        result,
        write: (session) => [
          saveMembers.run(session, [member]),
          saveLeases.run(session, leases),
          ...(expired.length === 0 ? [] : [deleteMembers.run(session, [expired])]),
        ],
        events: [],
      };
    },
  );
}

export function leaveFleet(db: Database, { memberId }: { memberId: string }): Promise<void> {
  const leave = async (tx: Transaction) => {
    await Promise.all([release.run(tx, [memberId]), deleteMembers.run(tx, [[memberId]])]);
  };
  return transaction(db, leave, { locks: LOCKS });
}
