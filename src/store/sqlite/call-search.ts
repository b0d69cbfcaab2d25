import { endOfPrefix, matchesSearch, reverse, type SearchTerms } from '../../domain/call-search.ts';
import type { Timestamp } from '../../domain/time.ts';
import { type CallSearch, MAX_CANDIDATES } from '../../ports/overview-store.ts';
import type { CallListItem } from '../../ports/store.ts';
import type { Database } from './database.ts';
import { preparePerConnection } from './prepare-per-connection.ts';
import { MAX_PHONE_END, REVERSED_PHONE } from './schema.ts';

/** A call that may match. */
interface Candidate {
  readonly id: string;
  readonly createdAt: Timestamp;
}

interface Range {
  readonly organizationId: string;
  readonly low: string;
  readonly high: string;
}

const IN_ORGANIZATION = 'organization_id = CAST(@organizationId AS TEXT)';
const between = (column: string) => `${column} >= CAST(@low AS TEXT) AND ${column} < CAST(@high AS TEXT)`;

/*
 * Each statement reads at most MAX_CANDIDATES entries of one index. The indexes by id and by room have the calls of all
 * organizations, so their calls are filtered afterwards: a condition on the organization would not bound the reading.
 */
const statements = preparePerConnection(({ $client: client }) => {
  const ofAnyOrganization = (index: string, order: string, column: string) =>
    client.prepare<[Range], Candidate>(`
      SELECT id, createdAt FROM (
        SELECT id, created_at AS createdAt, organization_id FROM calls ${index}
        WHERE ${between(column)} ORDER BY ${order} LIMIT ${MAX_CANDIDATES}
      ) WHERE ${IN_ORGANIZATION}`);
  const ofOrganization = (index: string, expression: string, columns = '') =>
    client.prepare<[Range], Candidate & { phoneNumber: string }>(`
      SELECT id, created_at AS createdAt${columns} FROM calls INDEXED BY ${index}
      WHERE ${IN_ORGANIZATION} AND phone_number IS NOT NULL AND ${between(expression)} LIMIT ${MAX_CANDIDATES}`);
  return {
    byId: ofAnyOrganization('', 'id DESC', 'id'),
    byRoom: ofAnyOrganization(
      'INDEXED BY calls_by_room',
      'room_name DESC, created_at DESC, id DESC',
      'room_name',
    ),
    byPhone: ofOrganization('calls_by_phone', 'phone_number'),
    byPhoneEnd: ofOrganization('calls_by_phone_end', REVERSED_PHONE, ', phone_number AS phoneNumber'),
    newest: client.prepare<
      [{ organizationId: string }],
      Candidate & { roomName: string; phoneNumber: string | null }
    >(`
      SELECT id, created_at AS createdAt, room_name AS roomName, phone_number AS phoneNumber
      FROM calls INDEXED BY calls_by_created WHERE ${IN_ORGANIZATION}
      ORDER BY created_at DESC, id DESC LIMIT ${MAX_CANDIDATES}`),
    items: client.prepare<[ids: string], CallListItem>(`
      SELECT calls.id, status, direction, scheduled_at AS scheduledAt, answered_at AS answeredAt, ended_at AS endedAt,
        agent_id AS agentId, agent_name AS agentName, contact_phone AS contactPhone, contact_name AS contactName,
        contact_email AS contactEmail, phone_number AS phoneNumber, created_at AS createdAt
      FROM json_each(?) CROSS JOIN calls ON calls.id = json_each.value`),
  };
});

export function searchCalls(db: Database, { organizationId, terms, limit }: CallSearch): CallListItem[] {
  const found = new Map(findCandidates(db, organizationId, terms).map((call) => [call.id, call]));
  const ids = [...found.values()]
    .sort(byNewest)
    .slice(0, limit)
    .map(({ id }) => id);
  return statements(db).items.all(JSON.stringify(ids)).sort(byNewest);
}

function findCandidates(db: Database, organizationId: string, terms: SearchTerms): Candidate[] {
  const { byId, byRoom, byPhone, byPhoneEnd, newest } = statements(db);
  const { beginning, phoneBeginnings, phoneEnd } = terms;
  const rangeOf = (prefix: string): Range => ({
    organizationId,
    low: prefix,
    high: endOfPrefix(prefix),
  });
  return [
    ...newest.all({ organizationId }).filter((call) => matchesSearch(terms, call)),
    ...byId.all(rangeOf(beginning)),
    ...byRoom.all(rangeOf(beginning)),
    ...phoneBeginnings.flatMap((digits) => byPhone.all(rangeOf(digits))),
    ...(phoneEnd === null
      ? []
      : byPhoneEnd
          .all(rangeOf(reverse(phoneEnd).slice(0, MAX_PHONE_END)))
          .filter(({ phoneNumber }) => phoneNumber.endsWith(phoneEnd))),
  ];
}

/** The newest first, and of the same time the last by id, as in the list of calls. */
const byNewest = (a: Candidate, b: Candidate) =>
  b.createdAt - a.createdAt || Buffer.compare(Buffer.from(b.id), Buffer.from(a.id));
