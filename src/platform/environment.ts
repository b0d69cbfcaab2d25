import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describeSettings, SettingsError } from './config.ts';
import { type EnvFile, parseEnvFile } from './env-file.ts';
import type { EnvironmentVariables } from './environment-variables.ts';
import { RENAMED_SETTINGS, renameWarning } from './renamed-settings.ts';
import { nearestSetting } from './setting-names.ts';

/** Names that have an effect, old names included. */
const SETTINGS = [...describeSettings().map(({ name }) => name), ...RENAMED_SETTINGS.keys()];
/** HOST and PORT resemble variables of other programs. */
const LONG_NAMES = SETTINGS.filter((name) => name.length >= 8);
const isSetting = (name: string) => SETTINGS.includes(name);

/** Without effect in `.env`, because Node.js or OpenSSL reads them before hangup reads the file. */
const READ_BEFORE_ENV_FILE = ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS', 'SSL_CERT_DIR', 'SSL_CERT_FILE', 'TZ'];
/** Variables that hangup reads in addition to its settings. */
const PROXY_VARIABLES = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'];
const SETTING_PREFIX = /^(LIVEKIT|HANGUP)_/i;

/** Returns the process's environment, merged over the `.env` file of the working directory. @throws SettingsError */
export function readEnvironment(): EnvironmentVariables {
  const { values, problems } = readEnvFile() ?? { values: {}, problems: [] };
  if (problems.length > 0) throw new SettingsError(problems);
  return { ...values, ...process.env };
}

/** Sets the local time zone of this process to UTC. */
export function useUtcTimeZone(): void {
  process.env.TZ = 'UTC';
}

/** Returns the names of the settings by source. `file` is the path of `.env`; null if there is none. */
export function settingSources(): {
  file: string | null;
  fromFile: readonly string[];
  fromEnvironment: readonly string[];
} {
  const file = readEnvFile();
  return {
    file: file === null ? null : resolve('.env'),
    fromFile: SETTINGS.filter((name) => file?.values[name] && process.env[name] === undefined),
    fromEnvironment: SETTINGS.filter((name) => process.env[name]),
  };
}

/**
 * Returns warnings about old names of settings, and about names and lines of `.env` without effect. A warning contains no
 * value. @throws SettingsError
 */
export function environmentWarnings(): readonly string[] {
  const file = readEnvFile();
  const environment = { ...file?.values, ...process.env };
  return [
    ...(file?.warnings ?? []),
    ...(file === null ? [] : fileWarnings(file, environment)),
    ...Object.keys(process.env).flatMap((name) => {
      if (isSetting(name)) return process.env[name] ? (renameWarning(name, environment) ?? []) : [];
      const nearest = nearestCurrentSetting(name, LONG_NAMES);
      return SETTING_PREFIX.test(name) || nearest !== null ? [unknownName(name, nearest)] : [];
    }),
    ...allProxyWarnings(environment),
  ];
}

function fileWarnings({ lines, values }: EnvFile, environment: EnvironmentVariables): string[] {
  const unrelated: string[] = [];
  const warnings = [...lines].flatMap(([name, line]) => {
    const place = `.env line ${line}`;
    if (isSetting(name)) {
      const warning = values[name] ? renameWarning(name, environment) : null;
      return warning === null ? [] : [`${place}: ${warning}`];
    }
    if (PROXY_VARIABLES.includes(name.toUpperCase())) return [];
    if (READ_BEFORE_ENV_FILE.includes(name)) {
      return [`${place}: ${name} has no effect in .env; set it in the environment of hangup`];
    }
    const nearest = nearestCurrentSetting(name, SETTINGS);
    if (SETTING_PREFIX.test(name) || nearest !== null) return [`${place}: ${unknownName(name, nearest)}`];
    unrelated.push(`${name} (line ${line})`);
    return [];
  });
  if (unrelated.length === 0) return warnings;
  return [...warnings, `.env: these names are not hangup settings: ${unrelated.join(', ')}`];
}

function nearestCurrentSetting(name: string, settings: readonly string[]): string | null {
  const nearest = nearestSetting(name, settings);
  return nearest === null ? null : (RENAMED_SETTINGS.get(nearest) ?? nearest);
}

function unknownName(name: string, nearest: string | null): string {
  const hint = nearest === null ? '' : `; did you mean ${nearest}?`;
  return `${name} is not a hangup setting and has no effect${hint}`;
}

function allProxyWarnings(environment: EnvironmentVariables): string[] {
  return ['ALL_PROXY', 'all_proxy']
    .filter((name) => environment[name])
    .map((name) => `${name} has no effect; set HTTPS_PROXY, or HTTP_PROXY if LIVEKIT_URL is ws or http`);
}

/** Returns the parsed `.env`; null if there is none. @throws SettingsError */
function readEnvFile(): EnvFile | null {
  let bytes: Buffer;
  try {
    bytes = readFileSync('.env');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw new SettingsError([`.env: cannot be read: ${error instanceof Error ? error.message : error}`]);
  }
  const file = parseEnvFile(bytes, isSetting);
  if (file === null) throw new SettingsError(['.env: expected UTF-8 text; save the file as UTF-8']);
  return file;
}
