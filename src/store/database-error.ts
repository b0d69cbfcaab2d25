/** The database cannot be used. The message contains the remedy. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/** Called once with the reason when a database cannot be reached yet. The store tries again for 30 s. */
export type OnWait = (reason: string) => void;

/** Called with the names of missing migrations before they are applied, which takes minutes for a large database. */
export type OnMigrate = (names: readonly string[]) => void;
