import type { Command } from 'commander';
import type { Finding } from '../../doctor/diagnosis.ts';
import { diagnose } from '../../doctor/doctor.ts';
import { systemClock } from '../../platform/clock.ts';
import { CliError, print } from '../output.ts';

export function registerDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description(
      'look at settings, database, LiveKit and webhooks, also beside a running hangup; changes nothing',
    )
    .option('--json', 'print one JSON object')
    .action(seeDoctor);
}

async function seeDoctor({ json }: { json?: true }): Promise<void> {
  const findings = await diagnose(systemClock);
  const failures = findings.filter(({ level }) => level === 'failure').length;
  if (json) print(JSON.stringify({ ok: failures === 0, findings }));
  else for (const finding of findings) print(lineOf(finding));
  if (failures > 0) throw new CliError(`${failures} of ${findings.length} checks failed`);
}

function lineOf({ level, check, message, advice }: Finding): string {
  const line = `${level.padEnd(8)} ${check.padEnd(12)} ${message}`;
  if (advice === undefined) return line;
  return `${line}\n${' '.repeat(22)}-> ${advice.replaceAll('\n', `\n${' '.repeat(25)}`)}`;
}
