import { endOfPrefix, reverse } from '../../domain/call-search.ts';
import { type CallSearch, MAX_CANDIDATES } from '../../ports/overview-store.ts';
import type { CallListItem } from '../../ports/store.ts';
import { LIST_SETTINGS } from './call-list.ts';
import type { Database } from './database.ts';
import { prepareNamed } from './named-sql.ts';
import { readTransaction } from './read-transaction.ts';

const between = (expression: string, name: string) =>
  `${expression} >= @${name}::text AND ${expression} < @${name}End::text`;

/** Reads entries of an index of all organizations, and filters them afterwards: otherwise nothing would bound the reading. */
const ofAnyOrganization = (column: string, order: string) => `
  SELECT id, created_at FROM (
    SELECT id, created_at, organization_id FROM calls WHERE ${between(column, 'beginning')}
    ORDER BY ${order} LIMIT ${MAX_CANDIDATES}
  ) AS found WHERE organization_id = @organizationId::text`;

const ofOrganization = (expression: string, name: string) => `
  SELECT id, created_at FROM (
    SELECT id, created_at, phone_number FROM calls
    WHERE organization_id = @organizationId::text AND phone_number IS NOT NULL AND ${between(expression, name)}
    ORDER BY organization_id, ${expression}, created_at, id LIMIT ${MAX_CANDIDATES}
  ) AS found`;

/** Each part reads at most MAX_CANDIDATES entries of one index. A part whose bounds are null finds no call. */
const search = prepareNamed<CallListItem>(`
  WITH candidates AS (
    ${ofAnyOrganization('id', 'id DESC')}
    UNION ALL ${ofAnyOrganization('room_name', 'room_name DESC, created_at DESC, id DESC')}
    UNION ALL ${ofOrganization('phone_number', 'digits')}
    UNION ALL ${ofOrganization('phone_number', 'plusDigits')}
    UNION ALL ${ofOrganization('reverse(phone_number)', 'reversed')}
    UNION ALL SELECT id, created_at FROM (
      SELECT id, created_at, room_name, phone_number FROM calls WHERE organization_id = @organizationId::text
      ORDER BY organization_id DESC, created_at DESC, id DESC LIMIT ${MAX_CANDIDATES}
    ) AS newest
    WHERE starts_with(id, @beginning::text) OR starts_with(room_name, @beginning::text)
      OR starts_with(phone_number, @digits::text) OR starts_with(phone_number, @plusDigits::text)
      OR starts_with(reverse(phone_number), @reversed::text)
  ), page AS (
    SELECT id FROM candidates GROUP BY id, created_at ORDER BY created_at DESC, id DESC LIMIT @limit::bigint
  )
  SELECT id, status, direction, scheduled_at AS "scheduledAt", answered_at AS "answeredAt", ended_at AS "endedAt",
    agent_id AS "agentId", agent_name AS "agentName", contact_phone AS "contactPhone", contact_name AS "contactName",
    contact_email AS "contactEmail", phone_number AS "phoneNumber", created_at AS "createdAt"
  FROM page JOIN calls USING (id) ORDER BY created_at DESC, id DESC`);

export function searchCalls(
  db: Database,
  { organizationId, terms, limit }: CallSearch,
): Promise<CallListItem[]> {
  const { beginning, phoneBeginnings, phoneEnd } = terms;
  const [plusDigits = null, digits = null] = phoneBeginnings;
  const values = {
    organizationId,
    ...rangeOf('beginning', beginning),
    ...rangeOf('digits', digits),
    ...rangeOf('plusDigits', plusDigits),
    ...rangeOf('reversed', phoneEnd && reverse(phoneEnd)),
    limit,
  };
  return readTransaction(db, (session) => search.all(session, values), { settings: LIST_SETTINGS });
}

const rangeOf = (name: string, prefix: string | null) => ({
  [name]: prefix,
  [`${name}End`]: prefix && endOfPrefix(prefix),
});
