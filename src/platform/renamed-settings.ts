import type { EnvironmentVariables } from './environment-variables.ts';

/** The settings that 0.2.0 renamed: new names by old names. The next release removes this list. */
export const RENAMED_SETTINGS: ReadonlyMap<string, string> = new Map([
  ['COMPARE_SCHEDULE', 'RECONCILE_SCHEDULE'],
  ['CONNECTION_LOST_GRACE_MS', 'RECONNECT_GRACE_MS'],
  ['KEEP_AUDIT_DAYS', 'AUDIT_RETENTION_DAYS'],
  ['KEEP_ENDED_CALLS_DAYS', 'CALL_RETENTION_DAYS'],
  ['KEEP_EVENT_IDS_HOURS', 'EVENT_DEDUP_HOURS'],
  ['LIVEKIT_REQUEST_TIMEOUT_MS', 'LIVEKIT_CANCEL_TIMEOUT_MS'],
  ['NEVER_STARTED_AFTER_MS', 'CALL_START_TIMEOUT_MS'],
  ['RETRY_FIRST_DELAY_MS', 'RETRY_INITIAL_DELAY_MS'],
  ['ROOM_GUARD_MS', 'RECREATED_ROOM_WINDOW_MS'],
]);

/**
 * Returns the environment with the values of old names under the new names. If both names have a value, the new name
 * wins; different values are a conflict, because either may be the intended one.
 */
export function withCurrentNames(rawEnvironment: EnvironmentVariables): {
  environment: EnvironmentVariables;
  conflicts: readonly string[];
} {
  const environment = { ...rawEnvironment };
  const conflicts: string[] = [];
  for (const [oldName, newName] of RENAMED_SETTINGS) {
    const oldValue = rawEnvironment[oldName];
    if (!oldValue) continue;
    if (!rawEnvironment[newName]) environment[newName] = oldValue;
    else if (rawEnvironment[newName] !== oldValue)
      conflicts.push(`${newName} conflicts with its old name ${oldName}; remove ${oldName}`);
  }
  return { environment, conflicts };
}

/** Returns a warning about an old name, null for another name. */
export function renameWarning(name: string, environment: EnvironmentVariables): string | null {
  const newName = RENAMED_SETTINGS.get(name);
  if (newName === undefined) return null;
  const remedy = environment[newName]
    ? `remove ${name}, because ${newName} has the same value`
    : `rename ${name} to ${newName}, because the next release ignores the old name`;
  return `${name} is the old name of ${newName}; ${remedy}`;
}
