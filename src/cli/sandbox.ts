import { randomBytes } from 'node:crypto';
import { type App, systemClock, systemRandom } from '../app/app.ts';
import { type Call, LIVE_STATUSES, newCall } from '../domain/call.ts';
import { type Emulator, startEmulator } from '../emulator/emulator.ts';
import { createApiKey } from '../operations/api-keys/create.ts';
import { commandName } from '../platform/assets.ts';
import type { LiveKitAddress } from '../platform/config.ts';
import type { Store } from '../ports/store.ts';

const ORGANIZATION = 'demo';
const LIVE_CALLS = 3;

/** hangup to try out, without a LiveKit: the emulator, and on a database without keys something to cancel. */
export interface Sandbox {
  readonly livekit: LiveKitAddress;
  /** Makes the organization, its key and its live calls, and tells on standard output what to do with them. */
  welcome(app: App): Promise<void>;
  close(): Promise<void>;
}

export async function openSandbox({ host, port }: { host: string; port: number }): Promise<Sandbox> {
  const credentials = { apiKey: 'emulator', apiSecret: randomBytes(32).toString('base64url') };
  // A port that is not chosen yet cannot be told: then no webhooks come.
  const webhookUrls = port === 0 ? [] : [`http://${reachable(host)}:${port}/webhooks/livekit`];
  const emulator = await startEmulator({ ...credentials, webhookUrls });
  return {
    livekit: { url: emulator.url, ...credentials },
    close: () => emulator.stop(),
    async welcome({ store, url }) {
      const { organizationId, key } = await prepareKey(store);
      const callIds = await prepareCalls(store, emulator, organizationId);
      process.stdout.write(welcomeText({ url, key, callIds }));
    },
  };
}

function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

/** The key is shown when it is made, never again: the database has only its hash. */
async function prepareKey(store: Store): Promise<{ organizationId: string; key: string | null }> {
  const known = (await store.listApiKeys()).find((key) => key.organizationName === ORGANIZATION);
  if (known !== undefined) return { organizationId: known.organizationId, key: null };
  const { apiKey, key } = await createApiKey(
    { store, clock: systemClock, random: systemRandom },
    {
      organizationName: ORGANIZATION,
      name: 'first start',
      scopes: ['calls:read', 'calls:write', 'calls:cancel'],
      expiresAt: null,
    },
  );
  return { organizationId: apiKey.organizationId, key };
}

/** The emulator forgets its rooms when it stops, so those of live calls are opened again. */
async function prepareCalls(
  store: Store,
  emulator: Emulator,
  organizationId: string,
): Promise<readonly string[]> {
  const { calls } = await store.listCalls({
    organizationId,
    statuses: LIVE_STATUSES,
    sortBy: 'createdAt',
    sortOrder: 'desc',
    limit: 100,
    offset: 0,
  });
  const ids = calls.map(({ id }) => id);
  while (ids.length < LIVE_CALLS) ids.push(await seedCall(store, organizationId, ids.length));
  for (const id of ids) {
    const record = await store.findCall(id);
    if (record !== null) openRoom(emulator, record.call);
  }
  return ids;
}

async function seedCall(store: Store, organizationId: string, index: number): Promise<string> {
  const id = systemRandom.id('call');
  const now = systemClock.now();
  const phoneNumber = `+1555010000${index + 1}`;
  const call = newCall({
    id,
    organizationId,
    roomName: id,
    status: 'active',
    phoneNumber,
    agentId: 'receptionist',
    agentName: 'Receptionist',
    contactName: 'Ada',
    contactPhone: phoneNumber,
    metadata: { seeded: true },
    startedAt: now,
    answeredAt: now,
    createdAt: now,
  });
  const { result } = await store.changeCall({ kind: 'register', call, apiKeyId: null });
  if (result.kind !== 'registered') throw new Error(`a call could not be seeded: ${result.kind}`);
  return id;
}

function openRoom(emulator: Emulator, call: Call): void {
  emulator.join(call.roomName, { identity: 'agent', kind: 'AGENT' });
  emulator.join(call.roomName, {
    identity: 'phone',
    kind: 'SIP',
    attributes: {
      'sip.callStatus': 'active',
      ...(call.phoneNumber && { 'sip.phoneNumber': call.phoneNumber }),
    },
  });
}

function welcomeText({
  url,
  key,
  callIds,
}: {
  url: string;
  key: string | null;
  callIds: readonly string[];
}): string {
  const shown =
    key === null
      ? `The organization "${ORGANIZATION}" has its API key already. Another one:
  ${commandName()} keys create --org ${ORGANIZATION} --name mine`
      : `API key of the organization "${ORGANIZATION}" (shown once, keep it):
  ${key}`;
  return `
hangup serves on ${url}
No LIVEKIT_URL is set, so it runs on the built-in LiveKit emulator: rooms and people are played, all else is real.

${shown}

${callIds.length} live calls, each with an agent and a phone in its room. Cancel one:
  curl -X DELETE ${url}/api/v1/calls/${callIds[0]} -H 'x-api-key: ${key ?? 'YOUR_KEY'}'
See them all:
  curl ${url}/api/v1/calls -H 'x-api-key: ${key ?? 'YOUR_KEY'}'
The API in full: ${url}/openapi.json
Stop with Ctrl-C.

`;
}
