import { parseSettings, type Settings, SettingsError } from '../../platform/config.ts';
import { environmentWarnings, readEnvironment, settingSources } from '../../platform/environment.ts';
import type { Finding } from '../finding.ts';
import { isWorldReadable } from './access.ts';

interface InvalidSettings {
  readonly kind: 'invalid';
  readonly problems: readonly string[];
}

interface ValidSettings {
  readonly kind: 'valid';
  readonly settings: Settings;
  /** Full path of `.env`. Null when the working directory has none. */
  readonly file: string | null;
  /** Whether every user of the machine can read the file, which can contain secrets. */
  readonly isFileWorldReadable: boolean;
  /** Names and lines without effect. */
  readonly warnings: readonly string[];
  /** Names of the settings in effect, by source. */
  readonly fromFile: readonly string[];
  readonly fromEnvironment: readonly string[];
}

const ADVICE = '`hangup docs configure` lists all settings';

/** Reads the settings of a server from the environment and `.env`. */
export function inspectSettings(): InvalidSettings | ValidSettings {
  try {
    const settings = parseSettings(readEnvironment(), 'server');
    const { file, ...names } = settingSources();
    const isFileWorldReadable = file !== null && isWorldReadable(file);
    return {
      kind: 'valid',
      settings,
      file,
      isFileWorldReadable,
      warnings: environmentWarnings(),
      ...names,
    };
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return { kind: 'invalid', problems: error.problems };
  }
}

export function assessSettings(facts: InvalidSettings | Omit<ValidSettings, 'settings'>): Finding[] {
  const check = 'settings';
  if (facts.kind === 'invalid') {
    return facts.problems.map((message) => ({
      check,
      level: 'failure',
      message,
      advice: `correct the value in the environment or in .env; ${ADVICE}`,
    }));
  }
  const { file, fromFile, fromEnvironment } = facts;
  const source = file === null ? 'no .env file in this directory' : `from ${file}: ${listNames(fromFile)}`;
  const findings: Finding[] = [
    {
      check,
      level: 'ok',
      message: `from the environment: ${listNames(fromEnvironment)}; ${source}; defaults for all others`,
    },
  ];
  for (const message of facts.warnings) {
    findings.push({
      check,
      level: 'warning',
      message,
      advice: `rename, correct or remove the setting or the line; ${ADVICE}`,
    });
  }
  if (facts.isFileWorldReadable) {
    findings.push({
      check,
      level: 'warning',
      message: `${file} is world-readable and can contain secrets`,
      advice: `chmod 600 ${file}`,
    });
  }
  return findings;
}

function listNames(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
