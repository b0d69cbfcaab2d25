/** An example of an operation, in the form of `x-codeSamples`, which Redoc and other references display. */
interface CodeSample {
  readonly lang: 'Shell' | 'TypeScript' | 'Python';
  readonly label: 'curl' | 'TypeScript' | 'Python';
  readonly source: string;
}

interface Calls {
  /** The arguments of curl after the credentials. */
  readonly curl?: readonly string[];
  readonly typescript: string;
  readonly python: string;
}

const json = (body: string) => ["-H 'content-type: application/json'", `-d '${body}'`];

const SAMPLES: Readonly<Record<string, Calls>> = {
  createCall: {
    curl: json('{"id": "support-4712", "phoneNumber": "+15551234567", "agentId": "receptionist"}'),
    typescript: `const call = await hangup.calls.create({
  id: 'support-4712',
  phoneNumber: '+15551234567',
  agentId: 'receptionist',
});
console.log(call.id, call.status);`,
    python: `call = hangup.calls.create(
    id="support-4712",
    phone_number="+15551234567",
    agent_id="receptionist",
)
print(call["id"], call["status"])`,
  },
  listCalls: {
    curl: ['-G', '-d status=initiated -d status=active', '-d limit=20'],
    typescript: `const live = hangup.calls.listAll({ status: ['initiated', 'active'] });
for await (const call of live) {
  console.log(call.id, call.status);
}`,
    python: `for call in hangup.calls.list_all(status=["initiated", "active"]):
    print(call["id"], call["status"])`,
  },
  searchCalls: {
    curl: ['-G', '-d text=4567'],
    typescript: `const { calls } = await hangup.calls.search({ text: '4567' });
for (const { id, phoneNumber } of calls) console.log(id, phoneNumber);`,
    python: `for call in hangup.calls.search(text="4567")["calls"]:
    print(call["id"], call["phoneNumber"])`,
  },
  getCall: {
    typescript: `const call = await hangup.calls.get(callId);
console.log(call.status, call.roomDeletion);`,
    python: `call = hangup.calls.get(call_id)
print(call["status"], call["roomDeletion"])`,
  },
  listCallEvents: {
    typescript: `const { events } = await hangup.calls.events(callId);
for (const { at, action, to } of events) console.log(at, action, to);`,
    python: `page = hangup.calls.events(call_id)
for event in page["events"]:
    print(event["at"], event["action"], event["to"])`,
  },
  cancelCall: {
    curl: json('{"reason": "caller request"}'),
    typescript: `const { id, status } = await hangup.calls.cancel(callId, {
  reason: 'caller request',
});
console.log(id, status);`,
    python: `cancelled = hangup.calls.cancel(
    call_id, reason="caller request"
)
print(cancelled["id"], cancelled["status"])`,
  },
  createCancellation: {
    curl: json('{"filter": {"agentId": "receptionist"}, "reason": "agent gives wrong advice"}'),
    typescript: `const cancellation = await hangup.cancellations.create({
  filter: { agentId: 'receptionist' },
  reason: 'agent gives wrong advice',
});
const { counts } = await hangup.cancellations.wait(cancellation.id);
console.log(counts.cancelled, counts.rooms);`,
    python: `cancellation = hangup.cancellations.create(
    filter={"agentId": "receptionist"},
    reason="agent gives wrong advice",
)
completed = hangup.cancellations.wait(cancellation["id"])
print(completed["counts"])`,
  },
  getCancellation: {
    typescript: `const cancellation = await hangup.cancellations.get(cancellationId);
console.log(cancellation.state, cancellation.counts);`,
    python: `cancellation = hangup.cancellations.get(cancellation_id)
print(cancellation["state"], cancellation["counts"])`,
  },
  listCancellations: {
    typescript: `const { cancellations } = await hangup.cancellations.list();
for (const { id, state } of cancellations) console.log(id, state);`,
    python: `page = hangup.cancellations.list()
for cancellation in page["cancellations"]:
    print(cancellation["id"], cancellation["state"])`,
  },
  liftHold: {
    typescript: `const { hold } = await hangup.cancellations.liftHold(cancellationId);
console.log(hold);`,
    python: `cancellation = hangup.cancellations.lift_hold(cancellation_id)
print(cancellation["hold"])`,
  },
  getCurrentApiKey: {
    typescript: `const { organization, scopes } = await hangup.apiKeys.current();
console.log(organization, scopes);`,
    python: `api_key = hangup.api_keys.current()
print(api_key["organization"], api_key["scopes"])`,
  },
  listAgents: {
    typescript: `const { agents } = await hangup.agents.list();
for (const { id, liveCalls } of agents) console.log(id, liveCalls);`,
    python: `for agent in hangup.agents.list()["agents"]:
    print(agent["id"], agent["liveCalls"])`,
  },
  getHealth: {
    typescript: `const { livekit, liveCalls } = await hangup.health.get();
console.log(livekit.state, liveCalls.total);`,
    python: `health = hangup.health.get()
print(health["livekit"]["state"], health["liveCalls"]["total"])`,
  },
  getHealthHistory: {
    typescript: `const { times, series } = await hangup.health.history();
console.log(times.at(-1), series.liveCalls.at(-1));`,
    python: `history = hangup.health.history()
print(history["times"], history["series"]["liveCalls"])`,
  },
  getHealthFindings: {
    typescript: `const { findings } = await hangup.health.findings();
for (const { check, level, message } of findings) console.log(check, level, message);`,
    python: `for finding in hangup.health.findings()["findings"]:
    print(finding["check"], finding["level"], finding["message"])`,
  },
  listRoomDeletions: {
    typescript: `const { roomDeletions } = await hangup.roomDeletions.list();
for (const { callId, state } of roomDeletions) console.log(callId, state);`,
    python: `page = hangup.room_deletions.list()
for deletion in page["roomDeletions"]:
    print(deletion["callId"], deletion["state"])`,
  },
  retryRoomDeletion: {
    curl: json('{}'),
    typescript: `const { nextAttemptAt } = await hangup.roomDeletions.retry(callId);
console.log(nextAttemptAt);`,
    python: `deletion = hangup.room_deletions.retry(call_id)
print(deletion["nextAttemptAt"])`,
  },
  listApiKeys: {
    typescript: `const { apiKeys } = await hangup.apiKeys.list();
for (const { id, name, scopes } of apiKeys) console.log(id, name, scopes);`,
    python: `for listed in hangup.api_keys.list()["apiKeys"]:
    print(listed["id"], listed["name"], listed["scopes"])`,
  },
  createApiKey: {
    curl: json('{"name": "dashboard", "scopes": ["calls:read"]}'),
    typescript: `const { id, key } = await hangup.apiKeys.create({
  name: 'dashboard',
  scopes: ['calls:read'],
});
console.log(id, key);`,
    python: `created = hangup.api_keys.create(
    name="dashboard", scopes=["calls:read"]
)
print(created["id"], created["key"])`,
  },
  revokeApiKey: {
    typescript: `const { revokedAt } = await hangup.apiKeys.revoke(keyId);
console.log(revokedAt);`,
    python: `revoked = hangup.api_keys.revoke(key_id)
print(revoked["revokedAt"])`,
  },
  listAdoptionPrefixes: {
    typescript: `const { adoptionPrefixes } = await hangup.adoption.list();
for (const { prefix } of adoptionPrefixes) console.log(prefix);`,
    python: `for adopted in hangup.adoption.list()["adoptionPrefixes"]:
    print(adopted["prefix"])`,
  },
  addAdoptionPrefix: {
    curl: json('{"prefix": "support-"}'),
    typescript: `const { prefix } = await hangup.adoption.add('support-');
console.log(prefix);`,
    python: `added = hangup.adoption.add("support-")
print(added["prefix"])`,
  },
  removeAdoptionPrefix: {
    typescript: `const removed = await hangup.adoption.remove(prefix);
console.log(removed.prefix);`,
    python: `removed = hangup.adoption.remove(prefix)
print(removed["prefix"])`,
  },
  streamEvents: {
    curl: ['-N'],
    typescript: `for await (const event of hangup.events.subscribe()) {
  console.log(event.type, event.at);
}`,
    python: `for event in hangup.events.subscribe():
    print(event["type"], event["at"])`,
  },
};

/** Returns the examples of an operation in curl, TypeScript and Python. @throws Error if the operation has none */
export function codeSamples(operation: {
  readonly operationId: string;
  readonly method: string;
  /** The path below /api/v1. */
  readonly path: string;
}): readonly CodeSample[] {
  const sample = SAMPLES[operation.operationId];
  if (sample === undefined) throw new Error(`${operation.operationId} has no code samples`);
  return [
    { lang: 'Shell', label: 'curl', source: toCurl(operation, sample.curl ?? []) },
    {
      lang: 'TypeScript',
      label: 'TypeScript',
      source: `import { createHangup } from '@hangup/client';

const hangup = createHangup({ url, apiKey });
${sample.typescript}`,
    },
    {
      lang: 'Python',
      label: 'Python',
      source: `from hangup import Hangup

hangup = Hangup(url=url, api_key=api_key)
${sample.python}`,
    },
  ];
}

function toCurl({ method, path }: { method: string; path: string }, args: readonly string[]): string {
  const variables = path
    .replace('{callId}', '$CALL_ID')
    .replace('{keyId}', '$KEY_ID')
    .replace('{prefix}', '$PREFIX')
    .replace('{id}', '$CANCELLATION_ID')
    .replace('{cancellationId}', '$CANCELLATION_ID');
  const isImplied =
    method === 'GET' || args.some((argument) => argument.startsWith('-d') && method === 'POST');
  return [
    `curl ${isImplied ? '' : `-X ${method} `}"$HANGUP_URL/api/v1${variables}"`,
    '-H "x-api-key: $HANGUP_API_KEY"',
    ...args,
  ].join(' \\\n  ');
}
