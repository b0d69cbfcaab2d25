import type { LiveStatus } from './call-status.ts';
import { phonesAreGuests, presentMembers, type Roster } from './roster.ts';

/** Returns the live status that the roster implies. A missing member does not make the call active. */
export function impliedStatus(roster: Roster): LiveStatus {
  return impliedStatusOfMembers({
    ...roster,
    members: roster.members.filter(({ missingSince }) => missingSince === null),
  });
}

function impliedStatusOfMembers(roster: Roster): LiveStatus {
  const phones = presentMembers(roster, 'phone');
  if (phones.some(({ phone }) => phone?.answeredAt != null)) return 'active';
  const people = presentMembers(roster, 'person').length;
  if (people >= 2) return 'active';
  // Before a phone of a phone call is answered, one person and agents do not make the call active.
  const isPhoneCall = roster.firstPhone !== null && !phonesAreGuests(roster);
  if (!isPhoneCall && people === 1 && presentMembers(roster, 'agent').length > 0) return 'active';
  if (phones.length === 0) return 'connecting';
  return phones.some(({ phone }) => phone?.callStatus === 'ringing') ? 'ringing' : 'connecting';
}
