import { parseSettings, type Settings } from '../platform/config.ts';
import { environmentWarnings, readEnvironment } from '../platform/environment.ts';
import { printProgress } from './output.ts';

let hasPrintedWarnings = false;

/** Returns the settings of a command. The first call prints the warnings to standard error. @throws SettingsError */
export function readSettings(): Settings {
  const settings = parseSettings(readEnvironment(), 'cli');
  if (!hasPrintedWarnings) for (const warning of environmentWarnings()) printProgress(`warning: ${warning}`);
  hasPrintedWarnings = true;
  return settings;
}
