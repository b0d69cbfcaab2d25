import type { ApiKey } from '../../domain/api-key.ts';
import type { Cancellation } from '../../domain/cancellation.ts';
import { cancellationNotFound, idempotencyKeyReused } from '../../domain/errors.ts';
import type { Dependencies } from '../dependencies.ts';

/** Lifts the hold of a cancellation. @throws RequestError not_found, also without a hold; idempotency_key_reused */
export async function liftHold(
  { store, log }: Pick<Dependencies, 'store' | 'log'>,
  { id, apiKey }: { id: string; apiKey: ApiKey },
): Promise<Cancellation> {
  const { organizationId, id: apiKeyId } = apiKey;
  const { result } = await store.liftHold({ id, organizationId, apiKeyId, idempotency: null });
  switch (result.kind) {
    case 'lifted':
      log.info({ cancellationId: id, organizationId }, 'hold lifted');
      return result.cancellation;
    case 'not_found':
      throw cancellationNotFound();
    case 'idempotency_key_reused':
      throw idempotencyKeyReused();
  }
}
