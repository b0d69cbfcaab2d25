import type { Cancellation } from '../../domain/cancellation.ts';
import { cancellationNotFound, idempotencyKeyReused } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import { fingerprintOf, idempotencyOf, type RepeatableRequest } from '../idempotency.ts';

/** Lifts the hold of a cancellation. @throws RequestError not_found, also without a hold; idempotency_key_reused */
export async function liftHold(
  { store, log }: Pick<Dependencies, 'store' | 'log'>,
  request: RepeatableRequest & { id: string },
): Promise<Cancellation> {
  const { id, apiKey, markReplayed } = request;
  const { organizationId, id: apiKeyId } = apiKey;
  const idempotency = idempotencyOf(request, fingerprintOf('cancellations.liftHold', { id }));
  const { result, isReplay } = await store.liftHold({ id, organizationId, apiKeyId, idempotency });
  if (isReplay) markReplayed();
  switch (result.kind) {
    case 'lifted':
      if (!isReplay) log.info({ cancellationId: id, organizationId }, 'hold lifted');
      return result.cancellation;
    case 'not_found':
      throw cancellationNotFound();
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
  }
}
