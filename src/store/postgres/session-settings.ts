/** Bounds that end a statement before the client of a cancel gives up after 5 s. */
export const STATEMENT_TIMEOUT_MS = 2_500;
const LOCK_TIMEOUT_MS = 2_000;
const IDLE_TIMEOUT_MS = 5_000;

/**
 * One plan for all values: planning takes longer than most statements. Only index scans, because the plan of a statement stays
 * while its table grows. Compiling such a plan would take longer than running it.
 */
const PLANS = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  jit: 'off',
};

const settingsOf = (timeoutMs: number): Readonly<Record<string, string | number>> => ({
  ...PLANS,
  statement_timeout: timeoutMs,
  lock_timeout: LOCK_TIMEOUT_MS,
  idle_in_transaction_session_timeout: IDLE_TIMEOUT_MS,
});

/** Returns SQL that sets the settings of one transaction. */
export const localSettings = (timeoutMs: number) =>
  Object.entries(settingsOf(timeoutMs)).map(([name, value]) => `SET LOCAL ${name} = ${value}`);

/** The settings of a session, for the first message of a connection. */
export const SESSION_OPTIONS = Object.entries(settingsOf(STATEMENT_TIMEOUT_MS))
  .map(([name, value]) => `-c ${name}=${value}`)
  .join(' ');
