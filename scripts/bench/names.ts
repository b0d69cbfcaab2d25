/** The ids of generated calls; each call's room has the same name. Sorted by number, like ids that hangup makes. */
export const callId = (prefix: string, index: number) => `${prefix}_${String(index).padStart(8, '0')}`;

/** LiveKit's ids of the generated rooms. */
export const roomSid = (index: number) => `RM_${String(index).padStart(12, '0')}`;

/** LiveKit's ids of the generated events, in no order like LiveKit's own. */
export const eventId = (index: number) => `EV_${((index * 2_654_435_761) % 2 ** 32).toString(36)}_${index}`;
