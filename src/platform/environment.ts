import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describeSettings, type Environment, SettingsError } from './config.ts';
import { type EnvFile, parseEnvFile } from './env-file.ts';
import { nearestSetting } from './setting-names.ts';

const SETTINGS = describeSettings().map(({ name }) => name);
/** HOST and PORT are near to names of other programs. */
const LONG_NAMES = SETTINGS.filter((name) => name.length >= 8);
const isSetting = (name: string) => SETTINGS.includes(name);

/** Without effect in `.env`: they are read before it, by Node.js itself or by OpenSSL. */
const TOO_LATE = ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'SSL_CERT_DIR', 'SSL_CERT_FILE', 'TZ'];
/** What hangup reads besides its settings. */
const OTHERS = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'];
const OURS = /^(LIVEKIT|HANGUP)_/i;

/** The process's environment, over what a `.env` file in the working directory has. @throws SettingsError */
export function readEnvironment(): Environment {
  const { values, problems } = readEnvFile() ?? { values: {}, problems: [] };
  if (problems.length > 0) throw new SettingsError(problems);
  return { ...values, ...process.env };
}

/** Sets the local time of this process to UTC. */
export function useUtcTimeZone(): void {
  process.env.TZ = 'UTC';
}

/** Which settings that are set come from where; `file` is the full path of `.env`, null when there is none. */
export function settingSources(): {
  file: string | null;
  fromFile: readonly string[];
  fromEnvironment: readonly string[];
} {
  const read = readEnvFile();
  return {
    file: read === null ? null : resolve('.env'),
    fromFile: SETTINGS.filter((name) => read?.values[name] && process.env[name] === undefined),
    fromEnvironment: SETTINGS.filter((name) => process.env[name]),
  };
}

/** What was given and has no effect: names that are nearly a setting's, lines of `.env`. Never a value. @throws SettingsError */
export function environmentWarnings(): readonly string[] {
  const file = readEnvFile();
  return [
    ...(file?.warnings ?? []),
    ...(file === null ? [] : warnOfNames(file)),
    ...Object.keys(process.env).flatMap((name) => {
      if (isSetting(name)) return [];
      const nearest = nearestSetting(name, LONG_NAMES);
      return OURS.test(name) || nearest !== null ? [unknown(name, nearest)] : [];
    }),
    ...warnOfAllProxy({ ...file?.values, ...process.env }),
  ];
}

function warnOfNames({ lines }: EnvFile): string[] {
  const foreign: string[] = [];
  const warnings = [...lines].flatMap(([name, line]) => {
    const at = `.env line ${line}`;
    if (isSetting(name) || OTHERS.includes(name.toUpperCase())) return [];
    if (TOO_LATE.includes(name)) {
      return [`${at}: ${name} has no effect in .env: set it in the environment of hangup`];
    }
    const nearest = nearestSetting(name, SETTINGS);
    if (OURS.test(name) || nearest !== null) return [`${at}: ${unknown(name, nearest)}`];
    foreign.push(`${name} (line ${line})`);
    return [];
  });
  if (foreign.length === 0) return warnings;
  return [...warnings, `.env: these names are not settings of hangup: ${foreign.join(', ')}`];
}

function unknown(name: string, nearest: string | null): string {
  const hint = nearest === null ? '' : `; is ${nearest} meant?`;
  return `${name} is not a setting of hangup, and has no effect${hint}`;
}

function warnOfAllProxy(environment: Environment): string[] {
  return ['ALL_PROXY', 'all_proxy']
    .filter((name) => environment[name])
    .map((name) => `${name} has no effect: set HTTPS_PROXY, or HTTP_PROXY for an http LiveKit`);
}

/** Null when there is none. @throws SettingsError */
function readEnvFile(): EnvFile | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync('.env');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new SettingsError([`.env: cannot be read: ${error instanceof Error ? error.message : error}`]);
  }
  const file = parseEnvFile(bytes, isSetting);
  if (file === null) throw new SettingsError(['.env: expected a text in UTF-8; save it as one']);
  return file;
}
