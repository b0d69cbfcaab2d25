import type { Heartbeat, HeartbeatCommand } from '../domain/fleet.ts';

/** The processes that share the database. */
export interface FleetStore {
  /** Renews the membership of this process by the store's clock, in one transaction: see `onHeartbeat`. */
  heartbeat(command: HeartbeatCommand): Promise<Heartbeat>;
  /** Ends the membership of this process at once, and releases its passes. */
  leaveFleet(input: { readonly memberId: string }): Promise<void>;
}
