import { preparePerConnection } from './prepare-per-connection.ts';

const statements = preparePerConnection(({ $client: client }) => ({
  /** Changes when another connection commits, and not when this connection does. */
  others: client.prepare<[], number>('PRAGMA data_version').pluck(),
  /** The number of rows that this connection changed. */
  own: client.prepare<[], number>('SELECT total_changes()').pluck(),
}));

type Connection = Parameters<typeof statements>[0];

/**
 * Returns a value that is different after each commit that changes a row, in any process. Within a read transaction, the
 * value belongs to the state that the transaction reads.
 */
export function dataVersion(db: Connection): string {
  const { others, own } = statements(db);
  return `${others.get()} ${own.get()}`;
}
