/** The format of each random id. The prefix states the kind of the object. */
const ID = /^(EV_|RM_|PA_|TR_AM|SCL_|ST_|SDR_)[A-Za-z0-9]{12}$/;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const DISPATCHED_ROOM = /^(call-_\+15557770001_)[A-Za-z0-9]{12}$/;
/** The format of each time, by field. */
const TIMES: Readonly<Record<string, RegExp>> = {
  createdAt: /^\d{10}$/,
  creationTime: /^\d{10}$/,
  creationTimeMs: /^\d{13}$/,
  joinedAt: /^\d{10}$/,
  joinedAtMs: /^\d{13}$/,
  unixMicro: /^\d{16}$/,
};
/** Values from the SIP peer, in any format. */
const PEER_VALUES = ['sip.callTag', 'sip.callIDFull'];

const camelCase = (field: string) => field.replaceAll(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/**
 * Returns a function that replaces volatile values by their order of appearance: the first room sid becomes `RM_#1`.
 * Equal values stay equal, and different values stay different. A value in an unexpected format stays as it is.
 */
export function createNormalizer(): (value: unknown) => unknown {
  const seen = new Map<string, string[]>();
  function numbered(kind: string, value: string): number {
    const values = seen.get(kind) ?? [];
    seen.set(kind, values);
    if (!values.includes(value)) values.push(value);
    return values.indexOf(value) + 1;
  }

  function normalize(value: unknown, field: string, owner: string): unknown {
    if (Array.isArray(value)) return value.map((item) => normalize(item, field, owner));
    if (typeof value === 'object' && value !== null) {
      const id = 'sid' in value ? value.sid : 'id' in value ? value.id : owner;
      return Object.fromEntries(
        Object.entries(value).map(([name, item]) => [name, normalize(item, camelCase(name), String(id))]),
      );
    }
    // LiveKit counts a participant's changes: 2 or 3 when the participant joins.
    if (field === 'version' && typeof value === 'number') return 'a number';
    if (typeof value !== 'string') return value;
    if (field === 'turnPassword') return 'a password, blanked in the fixtures';
    const prefix = ID.exec(value)?.[1] ?? DISPATCHED_ROOM.exec(value)?.[1];
    if (prefix !== undefined) return `${prefix}#${numbered(prefix, value)}`;
    if (PEER_VALUES.includes(field) && value !== '') return `${field} #${numbered(field, value)}`;
    if (UUID.test(value)) return `uuid #${numbered('uuid', value)}`;
    if (TIMES[field]?.test(value)) return `${field} #${numbered(`${field} of ${owner}`, value)}`;
    return value;
  }

  return (value) => normalize(value, '', '');
}
