/*
 * A LiveKit server that answers each request at once, or never. Counts the deleted rooms.
 */
import { createServer, type ServerResponse } from 'node:http';
import {
  ListParticipantsResponse,
  ListRoomsResponse,
  ParticipantInfo,
  ParticipantInfo_Kind,
  ParticipantInfo_State,
} from '@livekit/protocol';
import { z } from 'zod';
import { callId, roomSid } from '../names.ts';
import { answerParent, listen, readOptions } from './parent.ts';

const { prefix, rooms } = readOptions(
  z.object({ prefix: z.string().default(''), rooms: z.number().default(0) }),
);

/** As many bytes for each room as a real LiveKit sends. */
const listed = new ListRoomsResponse({
  rooms: Array.from({ length: rooms }, (_, i) => ({
    name: callId(prefix, i),
    sid: roomSid(i),
    emptyTimeout: 300,
    departureTimeout: 20,
    creationTime: BigInt(Math.floor(Date.now() / 1_000)),
    creationTimeMs: BigInt(Date.now()),
    numParticipants: 2,
    enabledCodecs: ['audio/opus', 'video/vp8', 'video/h264'].map((mime) => ({ mime })),
  })),
});
const participants = new ListParticipantsResponse({
  participants: [
    participant('agent', ParticipantInfo_Kind.AGENT, {}),
    participant('phone', ParticipantInfo_Kind.SIP, { 'sip.callStatus': 'active' }),
  ],
});

function participant(identity: string, kind: ParticipantInfo_Kind, attributes: Record<string, string>) {
  const joinedAt = BigInt(Math.floor(Date.now() / 1_000));
  const state = ParticipantInfo_State.ACTIVE;
  return new ParticipantInfo({ sid: `PA_${identity}`, identity, kind, attributes, joinedAt, state });
}

const answers: Readonly<Record<string, { binary: Uint8Array; json: Buffer }>> = {
  ListRooms: { binary: listed.toBinary(), json: Buffer.from(listed.toJsonString()) },
  ListParticipants: { binary: participants.toBinary(), json: Buffer.from(participants.toJsonString()) },
};
const EMPTY = { binary: new Uint8Array(), json: Buffer.from('{}') };

const deleted = new Set<string>();
const requests: Record<string, number> = {};
/** Responses that the stub withholds while it plays a LiveKit that hangs. */
const held = new Set<ServerResponse>();
let isHanging = false;
let firstDeletionAt = 0;
let lastDeletionAt = 0;

const Change = z.object({ reset: z.boolean().optional(), isHanging: z.boolean().optional() });

const server = createServer((request, response) => {
  const method = request.url?.slice(request.url.lastIndexOf('/') + 1) ?? '';
  const isJson = request.headers['content-type']?.startsWith('application/json') ?? false;
  let body = '';
  request.setEncoding('latin1').on('data', (chunk: string) => {
    body += chunk;
  });
  request.on('end', () => {
    requests[method] = (requests[method] ?? 0) + 1;
    if (method === 'DeleteRoom') {
      deleted.add(body);
      lastDeletionAt = performance.now();
      if (deleted.size === 1) firstDeletionAt = lastDeletionAt;
    }
    if (isHanging) {
      held.add(response);
      return;
    }
    const { json, binary } = answers[method] ?? EMPTY;
    const content = isJson ? json : binary;
    response.writeHead(200, {
      'content-type': isJson ? 'application/json' : 'application/protobuf',
      'content-length': content.length,
    });
    response.end(content);
  });
});
server.keepAliveTimeout = 60_000;

answerParent(await listen(server), (message) => {
  const state = { deletedRooms: deleted.size, deletionMs: lastDeletionAt - firstDeletionAt, requests };
  const answer = structuredClone(state);
  const change = Change.parse(message);
  isHanging = change.isHanging ?? isHanging;
  if (!isHanging) {
    for (const response of held) response.destroy();
    held.clear();
  }
  if (change.reset) {
    deleted.clear();
    for (const method of Object.keys(requests)) delete requests[method];
  }
  return answer;
});
