import { DatabaseError } from '../database-error.ts';

/** The table with the progress of a copy. It exists in the target exactly until the copy is verified. */
export const COPY_TABLE = '__hangup_copy';

/** The error of a process that opens an incomplete copy. @param name of the database, without a password */
export const incompleteCopyError = (name: string) =>
  new DatabaseError(
    `${name} is an incomplete copy of another database. Start the same \`hangup copy\` again, and wait until the copy is complete.`,
  );
