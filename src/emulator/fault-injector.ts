import type { RoomServiceMethod } from './room-service.ts';

/**
 * A fault in the handling of a request.
 * - `status500`: an internal error; the request is not applied.
 * - `status503`: the response for a room on a dead node, without the delay; the request is not applied.
 * - `status429`: too many requests; the request is not applied.
 * - `hang`: no response; the request is not applied, even after the fault is removed.
 * - `reset`: the connection is reset; the request is not applied.
 * - `applyThen503`, `applyThenReset`: the request is applied, but the caller receives an error.
 * - `slow`: the request is applied and answered after a delay, even if the caller has disconnected.
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

/** The active fault of each method. A method's own fault takes precedence over the fault of all methods ('*'). */
export class FaultInjector {
  readonly #faults = new Map<string, Fault>();

  /** Activates a fault; null removes the active one. */
  set(method: RoomServiceMethod | '*', fault: Fault | null): void {
    if (fault === null) this.#faults.delete(method);
    else this.#faults.set(method, fault);
  }

  get(method: string): Fault | null {
    return this.#faults.get(method) ?? this.#faults.get('*') ?? null;
  }
}
