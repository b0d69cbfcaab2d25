/** The database cannot be used. The message contains the remedy. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/** Called with the names of missing migrations before they are applied, which takes minutes for a large database. */
export type OnMigrate = (names: readonly string[]) => void;
