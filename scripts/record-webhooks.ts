/**
 * `LIVEKIT_SERVER=/path/to/livekit-server node scripts/record-webhooks.ts`: runs the scenarios of
 * test/livekit/webhook-scenarios.ts on a real server and stores its webhooks in test/livekit/fixtures.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dispose } from '@livekit/rtc-node';
import { openWebhookInbox, type ReceivedWebhook, startLiveKit } from '../test/harness/livekit.ts';
import { FIXTURES } from '../test/livekit/webhook-recordings.ts';
import { runScenario, SCENARIO_NAMES } from '../test/livekit/webhook-scenarios.ts';

function toLine({ body, headers, receivedAtMs }: ReceivedWebhook, startedAtMs: number): string {
  return JSON.stringify({
    t_ms: receivedAtMs - startedAtMs,
    headers: { 'content-type': headers['content-type'] },
    // Replaces text, because parsing would change the rest of the body.
    body: body.replaceAll(/"turnPassword":"[^"]*"/g, '"turnPassword":""'),
  });
}

if (!process.env.LIVEKIT_SERVER) {
  process.stderr.write('LIVEKIT_SERVER is not set. Set it to the path of a livekit-server binary.\n');
  process.exit(1);
}
const inbox = await openWebhookInbox();
const livekit = await startLiveKit({ webhookUrls: [inbox.url] });
try {
  for (const name of SCENARIO_NAMES) {
    const startedAtMs = Date.now();
    const webhooks = inbox.webhooksOf(await runScenario(name, livekit, inbox));
    const lines = webhooks.map((webhook) => `${toLine(webhook, startedAtMs)}\n`);
    writeFileSync(join(FIXTURES, `${name}.jsonl`), lines.join(''));
    process.stdout.write(`${name}: ${webhooks.map(({ event }) => event.event).join(' ')}\n`);
  }
} finally {
  await livekit.stop();
  await inbox.close();
  await dispose();
}
