import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/*
 * Recorded webhooks of real servers, one JSON line for each webhook: livekit-server 1.13.5, for phone calls (`phone-...`)
 * with livekit-sip d5dd98232c55. The bodies are unchanged, except for the removed value of turnPassword.
 */
export const FIXTURES = join(import.meta.dirname, 'fixtures');

const Line = z.object({
  t_ms: z.number(),
  headers: z.object({ 'content-type': z.string() }),
  body: z.string(),
});

const Event = z.looseObject({
  event: z.string(),
  createdAt: z.string(),
  room: z.looseObject({ sid: z.string(), name: z.string() }),
});

export type CapturedEvent = z.infer<typeof Event>;

export interface CapturedWebhook {
  /** Milliseconds since the start of the scenario. */
  readonly tMs: number;
  readonly contentType: string;
  readonly body: string;
  /** The body, parsed. */
  readonly event: CapturedEvent;
}

/** Returns the webhooks of test/livekit/fixtures/NAME.jsonl, in the order of arrival. */
export function loadFixture(name: string): CapturedWebhook[] {
  const lines = readFileSync(join(FIXTURES, `${name}.jsonl`), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => {
    const { t_ms: tMs, headers, body } = Line.parse(JSON.parse(line));
    return { tMs, contentType: headers['content-type'], body, event: Event.parse(JSON.parse(body)) };
  });
}
