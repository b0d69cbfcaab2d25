import type { Command } from 'commander';
import { systemClock } from '../../app/app.ts';
import { backupDatabase, restoreDatabase } from '../../store/open-store.ts';
import { print, readSettings, refuseUnless } from '../output.ts';

/** `hangup backup` and `hangup restore`. */
export function addBackup(hangup: Command): void {
  hangup
    .command('backup')
    .description('copy the database into one file, also while hangup serves; the copy is checked')
    .argument('<file>', 'the file to make; it must not be there')
    .action(async (target: string) => {
      const file = databaseFile();
      refuseUnless(file, ['current', 'behind', 'ahead']);
      await backupDatabase(file, target);
      print(`${target} is a whole copy of ${file}`);
    });
  hangup
    .command('restore')
    .description('put a backup in the place of the database, while no hangup runs on it; the old one is kept')
    .argument('<file>', 'what `hangup backup` made')
    .action((backup: string) => {
      const file = databaseFile();
      const time = new Date(systemClock.now()).toISOString().replaceAll(/[:.]/g, '-');
      const previousPath = `${file}.before-restore-${time}`;
      const wasThere = restoreDatabase(backup, { file, previousPath });
      print(`${file} is ${backup} now${wasThere ? `; what was there before is ${previousPath}` : ''}`);
    });
}

const databaseFile = () => readSettings().databaseFile;
