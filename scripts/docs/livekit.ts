/** For scripts/test-docs.ts: the LiveKit that the pages name, with their credentials and webhooks. */
import { startEmulator } from '../../src/livekit/emulator/emulator.ts';

await startEmulator({
  port: 7880,
  apiKey: 'devkey',
  apiSecret: 'secretsecretsecretsecretsecretsecret',
  webhookUrls: ['http://127.0.0.1:8080/webhooks/livekit'],
});
process.stdout.write('LiveKit serves\n');
