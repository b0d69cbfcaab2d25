import type { Command } from 'commander';
import { type Inspectors, runChecks } from '../../doctor/doctor.ts';
import type { Finding } from '../../doctor/finding.ts';
import { probeLiveKit } from '../../livekit/probe.ts';
import { systemClock } from '../../platform/clock.ts';
import { trustSystemCertificates } from '../../platform/system-ca.ts';
import { inspectDatabase, inspectPostgres } from '../../store/open-store.ts';
import { CliError, print } from '../output.ts';

const INSPECTORS: Inspectors = {
  inspectDatabase,
  inspectPostgres,
  probeLiveKit: (server, options) => {
    trustSystemCertificates(server.url);
    return probeLiveKit(server, options, systemClock);
  },
};

export function registerDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('Check settings, database, LiveKit and webhooks, without changing anything')
    .option('--json', 'Print a JSON object')
    .action(runDoctor);
}

async function runDoctor({ json }: { json?: true }): Promise<void> {
  const findings = await runChecks(INSPECTORS, systemClock);
  const failures = findings.filter(({ level }) => level === 'failure').length;
  if (json) print(JSON.stringify({ ok: failures === 0, findings }));
  else for (const finding of findings) print(formatFinding(finding));
  if (failures === 0) return;
  // All other checks need valid settings.
  const isStopped = findings.every(({ check }) => check === 'settings');
  throw new CliError(
    isStopped ? '1 check failed; the others did not run' : `${failures} of ${findings.length} checks failed`,
  );
}

function formatFinding({ level, check, message, advice }: Finding): string {
  const line = `${level.padEnd(8)} ${check.padEnd(12)} ${message}`;
  if (advice === undefined) return line;
  return `${line}\n${' '.repeat(22)}-> ${advice.replaceAll('\n', `\n${' '.repeat(25)}`)}`;
}
