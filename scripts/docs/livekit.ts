/** Starts the LiveKit of the pages, with their credentials and webhooks, for scripts/test-docs.ts. */
import { startEmulator } from '../../src/emulator/emulator.ts';

await startEmulator({
  port: 7880,
  apiKey: 'devkey',
  apiSecret: 'secretsecretsecretsecretsecretsecret',
  webhookUrls: ['http://127.0.0.1:8080/webhooks/livekit'],
});
process.stdout.write('LiveKit serves\n');
