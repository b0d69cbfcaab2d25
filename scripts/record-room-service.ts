/**
 * `LIVEKIT_SERVER=/path/to/livekit-server node scripts/record-room-service.ts`: sends the requests below to a real
 * server and stores each response in test/livekit/fixtures/room-service.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateRoomRequest,
  DeleteRoomRequest,
  ListParticipantsRequest,
  ListRoomsRequest,
  RoomParticipantIdentity,
  SendDataRequest,
  UpdateSubscriptionsRequest,
} from '@livekit/protocol';
import { dispose } from '@livekit/rtc-node';
import { openWebhookInbox, startLiveKit } from '../test/harness/livekit.ts';
import {
  type Content,
  play,
  RECORDINGS,
  type RecordedRequest,
  type Step,
} from '../test/livekit/room-service-recordings.ts';

const pathOf = (method: string) => `/twirp/livekit.RoomService/${method}`;
const grantsFor = (room: string) => ({
  video: { roomCreate: true, roomList: true, roomAdmin: true, room },
});

type Options = Partial<RecordedRequest> & { readonly event?: string; readonly room?: string };

/** A JSON request with every grant for the room. */
function json(method: string, body: object | string, { event, room, ...overrides }: Options = {}): Step {
  const named = typeof body === 'object' && 'room' in body ? String(body.room) : undefined;
  return {
    request: {
      method: 'POST',
      path: pathOf(method),
      contentType: 'application/json',
      authorization: grantsFor(room ?? named ?? ''),
      body: { text: typeof body === 'string' ? body : JSON.stringify(body) },
      ...overrides,
    },
    ...(event !== undefined && { event, room: room ?? named ?? '' }),
  };
}

/** The same request in protobuf. */
function protobuf(method: string, message: { toBinary(): Uint8Array }, room = ''): Step {
  return json(method, '', { room, contentType: 'application/protobuf', body: base64(message.toBinary()) });
}

const base64 = (bytes: Uint8Array): Content => ({ base64: Buffer.from(bytes).toString('base64') });
const createAndDelete = (...names: string[]) =>
  names.flatMap((name) => [
    json('CreateRoom', { name }),
    json('ListRooms', { names: [name] }),
    json('ListParticipants', { room: name }),
    json('DeleteRoom', { room: name }),
    json('ListRooms', { names: [name] }),
  ]);

const SECRET = 'another-secret-another-secret-another';
const AUTHORIZATIONS: readonly RecordedRequest['authorization'][] = [
  null,
  '',
  'Bearer ',
  'Bearer abc',
  'Bearer a.b.c',
  'Basic abc',
  'bearer abc',
  { video: null },
  { video: {} },
  { video: { roomList: true } },
  { video: { roomAdmin: true, room: 'absent' } },
  { ...grantsFor('absent'), apiSecret: SECRET },
  { ...grantsFor('absent'), apiKey: 'stranger' },
  { ...grantsFor('absent'), ttl: '-1h' },
];
const GRANTS = [{ roomCreate: true }, { roomList: true }, { roomAdmin: true, room: 'another' }];
const METHODS: readonly [string, object][] = [
  ['CreateRoom', { name: 'forbidden' }],
  ['ListRooms', {}],
  ['DeleteRoom', { room: 'absent' }],
  ['ListParticipants', { room: 'absent' }],
  ['GetParticipant', { room: 'absent', identity: 'nobody' }],
  ['RemoveParticipant', { room: 'absent', identity: 'nobody' }],
  ['SendData', { room: 'absent' }],
  ['UpdateSubscriptions', { room: 'absent', identity: 'nobody' }],
];
const MALFORMED = ['', ' ', '{bad', '[]', 'null', '1', '{"room":5}', '{"room":[]}'];

const SCENARIOS: Readonly<Record<string, readonly Step[]>> = {
  authorization: [
    ...AUTHORIZATIONS.map((authorization) => json('DeleteRoom', { room: 'absent' }, { authorization })),
    ...['Bearer abc', { ...grantsFor('absent'), apiSecret: SECRET }, null].flatMap((authorization) =>
      ['/', '/absent', pathOf('Absent')].map((path) => json('', {}, { path, authorization })),
    ),
  ],
  grants: METHODS.flatMap(([method, body]) => [
    json(method, body, { authorization: null }),
    ...GRANTS.map((video) => json(method, body, { authorization: { video } })),
    json('DeleteRoom', { room: 'forbidden' }),
  ]),
  routing: [
    json('', '', { method: 'GET', path: '/' }),
    json('', '', { path: '/' }),
    json('', {}, { path: '/absent' }),
    json('', {}, { path: '/twirp/livekit.Absent/DeleteRoom' }),
    json('', {}),
    json('Absent', {}),
    json('deleteRoom', {}),
    json('DeleteRoom', { room: 'absent' }, { path: `${pathOf('DeleteRoom')}?query=1` }),
    json('DeleteRoom', { room: 'absent' }, { path: `${pathOf('DeleteRoom')}/` }),
    ...['GET', 'PUT', 'DELETE'].map((method) => json('DeleteRoom', { room: 'absent' }, { method })),
    ...[
      null,
      '',
      'text/plain',
      'application/json; charset=utf-8',
      'Application/JSON',
      ' application/json ',
      'application/jsonp',
    ].map((contentType) => json('DeleteRoom', { room: 'absent' }, { contentType })),
  ],
  malformed: [
    ...MALFORMED.flatMap((body) => [
      json('DeleteRoom', body),
      json('DeleteRoom', body, { authorization: null }),
    ]),
    json('DeleteRoom', '', { body: base64(Buffer.from('{"room":"\xff"}', 'latin1')) }),
    json('DeleteRoom', '{"room":null,"absent":1}'),
    ...[-1, 1.5, 4_294_967_296, '7', 'x', true, null].map((emptyTimeout) =>
      json('CreateRoom', { name: 'typed', emptyTimeout }),
    ),
    json('DeleteRoom', { room: 'typed' }),
    json('CreateRoom', '{"name":"twice","emptyTimeout":1,"empty_timeout":2}'),
    json('DeleteRoom', { room: 'twice' }),
    ...[null, [null], [5], 'x', {}].map((names) => json('ListRooms', { names })),
    ...['CreateRoom', 'ListRooms', 'DeleteRoom'].map((method) =>
      protobuf(method, { toBinary: () => new Uint8Array([0x0a, 0x7f]) }),
    ),
    protobuf('DeleteRoom', { toBinary: () => new Uint8Array([0x0a, 0x01, 0xff]) }),
  ],
  names: [
    ...createAndDelete('n', 'n'.repeat(256), 'ö'.repeat(128), 'a/b/../c d?e=f#g', '📞 通話'),
    ...createAndDelete('n'.repeat(257), `${'ö'.repeat(128)}x`),
    ...createAndDelete(''),
  ],
  rooms: [
    json('ListRooms', {}),
    json('CreateRoom', { name: 'rooms-1', metadata: 'one', emptyTimeout: 77, maxParticipants: 3 }),
    json('CreateRoom', { name: 'rooms-1', metadata: 'two', empty_timeout: 78, departure_timeout: 5 }),
    json('CreateRoom', { name: 'rooms-2', departure_timeout: 5, max_participants: 4 }),
    json('ListRooms', {}),
    json('ListRooms', { names: ['rooms-1'] }),
    json('ListRooms', { names: ['rooms-2', 'absent', 'rooms-2', ''] }),
    json('ListRooms', { names: ['absent'] }),
    json('DeleteRoom', { room: 'rooms-1' }),
    json('DeleteRoom', { room: 'rooms-1' }),
    json('DeleteRoom', { room: 'rooms-2' }),
    json('ListRooms', {}),
  ],
  absent: METHODS.slice(2).map(([method, body]) => json(method, body)),
  participants: [
    json('CreateRoom', { name: 'people' }),
    json('ListParticipants', { room: 'people' }),
    ...METHODS.slice(4).map(([method]) => json(method, { room: 'people', identity: 'nobody' })),
    { join: 'caller', room: 'people', event: 'participant_joined' },
    { join: 'agent', kind: 'agent', room: 'people', event: 'participant_joined' },
    { publishAudio: 'caller', room: 'people', event: 'track_published' },
    json('ListParticipants', { room: 'people' }),
    json('ListRooms', { names: ['people'] }),
    ...METHODS.slice(4).flatMap(([method]) =>
      ['nobody', 'caller'].map((identity) =>
        json(
          method,
          { room: 'people', identity },
          method === 'RemoveParticipant' && identity === 'caller' ? { event: 'participant_left' } : {},
        ),
      ),
    ),
    json('ListParticipants', { room: 'people' }),
    json('RemoveParticipant', { room: 'people', identity: 'caller' }),
    json('DeleteRoom', { room: 'people' }, { event: 'room_finished' }),
    json('ListParticipants', { room: 'people' }),
  ],
  'send-data': [
    json('CreateRoom', { name: 'data' }),
    ...[
      { data: 'aGk=', kind: 'LOSSY', topic: 'hangup' },
      { data: '_-8' },
      { data: 'a' },
      { data: '!!!' },
      { data: 5 },
      { kind: 'ABSENT' },
      { kind: 99 },
      { kind: true },
      { nonce: [] },
      { nonce: 'aGk=' },
      { nonce: 'AAAAAAAAAAAAAAAAAAAAAA==' },
      { destination_identities: ['nobody'] },
    ].map((body) => json('SendData', { room: 'data', ...body })),
    json('DeleteRoom', { room: 'data' }),
  ],
  protobuf: [
    protobuf('CreateRoom', new CreateRoomRequest({ name: 'binary', metadata: 'né', emptyTimeout: 60 })),
    { join: 'caller', room: 'binary', event: 'participant_joined' },
    protobuf('ListRooms', new ListRoomsRequest()),
    protobuf('ListRooms', new ListRoomsRequest({ names: ['absent'] })),
    protobuf('ListParticipants', new ListParticipantsRequest({ room: 'binary' }), 'binary'),
    ...['caller', 'nobody'].map((identity) =>
      protobuf('GetParticipant', new RoomParticipantIdentity({ room: 'binary', identity }), 'binary'),
    ),
    protobuf('RemoveParticipant', new RoomParticipantIdentity({ room: 'binary' }), 'binary'),
    protobuf('SendData', new SendDataRequest({ room: 'binary', data: new Uint8Array([1]) }), 'binary'),
    protobuf('SendData', new SendDataRequest({ room: 'absent' }), 'absent'),
    protobuf(
      'UpdateSubscriptions',
      new UpdateSubscriptionsRequest({ room: 'binary', identity: 'caller', subscribe: true }),
      'binary',
    ),
    protobuf('DeleteRoom', new DeleteRoomRequest({ room: 'binary' })),
    protobuf('DeleteRoom', new DeleteRoomRequest({ room: 'binary' })),
    protobuf('ListParticipants', new ListParticipantsRequest({ room: 'binary' }), 'another'),
  ],
};

if (!process.env.LIVEKIT_SERVER) {
  process.stderr.write('LIVEKIT_SERVER is not set. Set it to the path of a livekit-server binary.\n');
  process.exit(1);
}
const inbox = await openWebhookInbox();
const livekit = await startLiveKit({ webhookUrls: [inbox.url] });
try {
  mkdirSync(RECORDINGS, { recursive: true });
  for (const [name, steps] of Object.entries(SCENARIOS)) {
    const exchanges = await play(steps, livekit, inbox);
    const lines = steps.map((step) => {
      const recorded = 'request' in step ? { ...step, response: exchanges.shift()?.response } : step;
      return `${JSON.stringify(recorded)}\n`;
    });
    writeFileSync(join(RECORDINGS, `${name}.jsonl`), lines.join(''));
    process.stdout.write(`${name}: ${lines.length} steps\n`);
  }
} finally {
  await livekit.stop();
  await inbox.close();
  await dispose();
}
