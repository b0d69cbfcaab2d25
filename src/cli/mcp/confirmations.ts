import { isDeepStrictEqual } from 'node:util';
import { ToolRefusal } from './tool-error.ts';

/** How long a person has to approve a stop after its preview. */
export const CONFIRMATION_TTL_MS = 600_000;
/** Values beyond this number become unknown, the oldest first. */
const MAX_CONFIRMATIONS = 100;

const PREVIEW_AGAIN =
  'Nothing was started by this call. Call preview_stop, and then stop_calls with its new value.';

interface Confirmation<Request> {
  readonly request: Request;
  /** The largest number of calls that the stop may cancel. */
  readonly expectedAtMost: number;
  readonly expiresAt: number;
  /** The stop that was started with the value. */
  stopId: string | null;
}

/**
 * The confirmation values of this process. A value starts one stop: the previewed one, within the time limit. Times are in
 * milliseconds of a clock that never steps back.
 */
export class Confirmations<Request extends object> {
  private readonly issued = new Map<string, Confirmation<Request>>();

  issue(value: string, { now, ...bound }: { request: Request; expectedAtMost: number; now: number }): void {
    const expiresAt = now + CONFIRMATION_TTL_MS;
    this.issued.set(value, { ...bound, expiresAt, stopId: null });
    const [oldest] = this.issued.keys();
    if (oldest !== undefined && this.issued.size > MAX_CONFIRMATIONS) this.issued.delete(oldest);
  }

  /**
   * Returns the largest number of calls that the stop may cancel.
   * @throws ToolRefusal for an unknown, used or expired value, and for another request than the previewed one
   */
  check(value: string, { request, now }: { request: Request; now: number }): { expectedAtMost: number } {
    const confirmation = this.issued.get(value);
    if (confirmation === undefined) {
      throw new ToolRefusal(
        'confirmation_refused',
        `The confirmation value is unknown: no preview of this process has returned it. ${PREVIEW_AGAIN}`,
      );
    }
    const { stopId, expiresAt, expectedAtMost } = confirmation;
    if (stopId !== null) {
      throw new ToolRefusal(
        'confirmation_refused',
        `The confirmation value was already used: it has started the stop ${stopId}. Read the stop with get_stop. ${PREVIEW_AGAIN}`,
      );
    }
    if (now >= expiresAt) {
      throw new ToolRefusal(
        'confirmation_refused',
        `The confirmation value has expired, ${CONFIRMATION_TTL_MS / 60_000} minutes after its preview. If an earlier call failed, list_stops shows whether it started the stop. ${PREVIEW_AGAIN}`,
      );
    }
    const changed = differences(confirmation.request, request);
    if (changed.length > 0) {
      throw new ToolRefusal(
        'confirmation_refused',
        `The arguments differ from the preview: ${changed.join(', ')}. ${PREVIEW_AGAIN}`,
      );
    }
    return { expectedAtMost };
  }

  markUsed(value: string, stopId: string): void {
    const confirmation = this.issued.get(value);
    if (confirmation !== undefined) confirmation.stopId = stopId;
  }
}

/** Returns the names of the arguments that differ. */
function differences(first: object, second: object): string[] {
  const [one, other] = [new Map(Object.entries(first)), new Map(Object.entries(second))];
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names].filter((name) => !isDeepStrictEqual(one.get(name), other.get(name)));
}
