import type { RoomServiceMethod } from './room-service.ts';

/**
 * What can be wrong with LiveKit while a request is in its hands.
 * - `status500`: an error of LiveKit's own, nothing done.
 * - `status503`: what a LiveKit says of a room whose node is dead, but at once.
 * - `status429`: too many requests, nothing done.
 * - `hang`: no answer, nothing done, even after the fault is switched off.
 * - `reset`: the connection breaks, nothing done.
 * - `applyThen503`, `applyThenReset`: the request is done, and the caller is not told.
 * - `slow`: done and answered after a delay, whether or not the caller still waits.
 */
export type Fault =
  | { readonly kind: 'status500' }
  | { readonly kind: 'status503' }
  | { readonly kind: 'status429'; readonly retryAfterS: number }
  | { readonly kind: 'hang' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'applyThen503' }
  | { readonly kind: 'applyThenReset' }
  | { readonly kind: 'slow'; readonly delayMs: number };

/** Which fault is on for which method. One set for a method itself goes before the one for all ('*'). */
export class FaultSwitches {
  readonly #faults = new Map<string, Fault>();

  set(method: RoomServiceMethod | '*', fault: Fault | null): void {
    if (fault === null) this.#faults.delete(method);
    else this.#faults.set(method, fault);
  }

  of(method: string): Fault | null {
    return this.#faults.get(method) ?? this.#faults.get('*') ?? null;
  }
}
