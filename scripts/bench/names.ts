/** The ids of generated calls; each call's room has the same name. Sorted by number, like ids that hangup makes. */
export const callId = (prefix: string, index: number) => `${prefix}_${String(index).padStart(8, '0')}`;

/** LiveKit's ids of the generated rooms. */
export const roomSid = (index: number) => `RM_${String(index).padStart(12, '0')}`;
