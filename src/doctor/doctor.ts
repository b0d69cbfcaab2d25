import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { probeLiveKit } from '../livekit/probe.ts';
import { parseSettings, type Settings, SettingsError } from '../platform/config.ts';
import { environmentWarnings, readEnvironment, settingSources } from '../platform/environment.ts';
import { trustSystemCertificates } from '../platform/system-ca.ts';
import type { Clock } from '../ports/system.ts';
import { inspectDatabase } from '../store/sqlite/inspect-database.ts';
import { judgeDatabase } from './checks/database.ts';
import { judgeLiveKit } from './checks/livekit.ts';
import { type Finding, judgeRecord, judgeSettings, type SettingsFacts } from './diagnosis.ts';

const LIVEKIT_TIMEOUT_MS = 5_000;

/** Looks at everything that hangup stands on, and changes nothing: hangup may run meanwhile on the same database. */
export async function diagnose(clock: Clock): Promise<readonly Finding[]> {
  const { facts, settings } = lookAtSettings();
  const findings = judgeSettings(facts);
  // What else there is cannot be known without them.
  if (settings === null) return findings;

  const { livekit } = settings;
  if (livekit !== null) trustSystemCertificates(livekit.url);
  const ofLiveKit =
    livekit === null ? null : await probeLiveKit(livekit, { timeoutMs: LIVEKIT_TIMEOUT_MS }, clock);
  const isListed = ofLiveKit?.kind === 'answered' && ofLiveKit.verdict.kind === 'accepted';
  const roomNames = isListed && ofLiveKit.verdict.kind === 'accepted' ? ofLiveKit.verdict.roomNames : [];
  const file = resolve(settings.databaseFile);
  const database = inspectDatabase(file, { roomNames, userId: process.getuid?.() });
  const record = database.kind === 'open' ? database.record : null;
  return [
    ...findings,
    ...judgeDatabase(file, database),
    ...judgeLiveKit(livekit?.url ?? '', ofLiveKit, record?.livekitServers),
    ...(record === null ? [] : judgeRecord(record, { now: clock.now(), isLiveKitListed: isListed })),
  ];
}

function lookAtSettings(): { facts: SettingsFacts; settings: Settings | null } {
  try {
    const settings = parseSettings(readEnvironment(), 'server');
    const { file, ...names } = settingSources();
    const isFilePublic = file !== null && (statSync(file).mode & 0o004) !== 0;
    const warnings = environmentWarnings();
    return { facts: { kind: 'good', file, isFilePublic, warnings, ...names }, settings };
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return { facts: { kind: 'wrong', problems: error.problems }, settings: null };
  }
}
