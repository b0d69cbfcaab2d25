import type { Cancellation, CancellationSelector } from '../../domain/cancellation.ts';
import { idempotencyKeyReused, tooManyMatches } from '../../domain/errors.ts';
import type { CancellationPreview } from '../../ports/store.ts';
import type { Dependencies } from '../dependencies.ts';
import { fingerprintOf, idempotencyOf, type RepeatableRequest } from '../idempotency.ts';

/**
 * Starts a cancellation of all matching calls, or returns the calls that match now. Resolves once the cancellation is on
 * record: the reconciler cancels the calls.
 * @throws RequestError precondition_failed, idempotency_key_reused
 */
export async function createCancellation(
  { store, random, log, onCancellation }: Pick<Dependencies, 'store' | 'random' | 'log' | 'onCancellation'>,
  {
    apiKey,
    idempotencyKey,
    markReplayed,
    ...requested
  }: RepeatableRequest & {
    selector: CancellationSelector;
    reason: string;
    hasHold: boolean;
    isDryRun: boolean;
    expectedAtMost: number | null;
  },
): Promise<
  | { readonly kind: 'created'; readonly cancellation: Cancellation }
  | { readonly kind: 'previewed'; readonly preview: CancellationPreview }
> {
  const { organizationId, id: createdBy } = apiKey;
  const { selector, reason, hasHold, isDryRun, expectedAtMost } = requested;
  const { result, isReplay } = await store.createCancellation({
    cancellation: { id: random.id('can'), organizationId, reason, createdBy, selector, hasHold },
    expectedAtMost,
    isDryRun,
    idempotency: idempotencyOf({ apiKey, idempotencyKey }, fingerprintOf('cancellations.create', requested)),
  });
  if (isReplay) markReplayed();
  switch (result.kind) {
    case 'created': {
      if (isReplay) return result;
      const { id: cancellationId } = result.cancellation;
      log.warn({ cancellationId, organizationId, hasHold }, 'cancellation started');
      onCancellation();
      return result;
    }
    case 'previewed':
      return result;
    case 'too_many':
      throw tooManyMatches(result.matched, expectedAtMost ?? 0);
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
  }
}
