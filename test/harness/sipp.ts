import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { vi } from 'vitest';
import { kill } from './livekit.ts';
import { freePorts } from './ports.ts';
import { WAIT } from './time.ts';

/* A phone that sipp plays from a script, and a record of its SIP messages. */

/** Steps of sipp's scenario XML. sipp replaces `[livekit]` and `[caller]`. */
export type Script = readonly string[];

const PHONE_TAG = '[pid]phone[call_number]';
const SDP = [
  'v=0',
  'o=phone 1 1 IN IP4 [local_ip]',
  's=-',
  'c=IN IP4 [media_ip]',
  't=0 0',
  'm=audio [media_port] RTP/AVP 0',
  'a=rtpmap:0 PCMU/8000',
];

/** `retransmit` repeats a request until its response, because UDP can lose messages. */
const send = (lines: readonly string[], { retransmit = false } = {}) =>
  `<send${retransmit ? ' retrans="500"' : ''}><![CDATA[\n${lines.join('\n')}\n\n]]></send>`;
const receive = (method: string) => `<recv request="${method}"/>`;
const receiveResponse = (status: number) => `<recv response="${status}"/>`;
const receiveOptionalResponse = (status: number) => `<recv response="${status}" optional="true"/>`;
const pause = (ms: number) => `<pause milliseconds="${ms}"/>`;

const EMPTY = ['Content-Length: 0'];
const OFFER = ['Content-Type: application/sdp', 'Content-Length: [len]', '', ...SDP];

/** A response to the INVITE, also after a CANCEL, whose headers differ only in the method. */
const respondToInvite = (status: string, body = EMPTY) =>
  send([
    `SIP/2.0 ${status}`,
    '[last_Via:]',
    '[last_From:]',
    `[last_To:];tag=${PHONE_TAG}`,
    '[last_Call-ID:]',
    'CSeq: [last_cseq_number] INVITE',
    'Contact: <sip:phone@[local_ip]:[local_port];transport=[transport]>',
    ...body,
  ]);
const acknowledgeLast = send([
  'SIP/2.0 200 OK',
  '[last_Via:]',
  '[last_From:]',
  '[last_To:]',
  '[last_Call-ID:]',
  '[last_CSeq:]',
  ...EMPTY,
]);

const RINGING = [receive('INVITE'), respondToInvite('100 Trying'), respondToInvite('180 Ringing')];
const ANSWER_BYE = [receive('BYE'), acknowledgeLast];

export function ringForEver(): Script {
  return [
    ...RINGING,
    receive('CANCEL'),
    acknowledgeLast,
    respondToInvite('487 Request Terminated'),
    receive('ACK'),
  ];
}

/** @param status such as `486 Busy Here` */
export function refuse(status: string, { afterRingingMs }: { afterRingingMs: number | null }): Script {
  const before = afterRingingMs === null ? [receive('INVITE')] : [...RINGING, pause(afterRingingMs)];
  return [...before, respondToInvite(status), receive('ACK')];
}

export function answerAndStay({ afterRingingMs }: { afterRingingMs: number }): Script {
  return [...RINGING, pause(afterRingingMs), respondToInvite('200 OK', OFFER), receive('ACK'), ...ANSWER_BYE];
}

/** Stores the caller's addresses for the requests of a called phone. */
const ASSIGN_ADDRESSES = `<action>${['From', 'To']
  .map((header) => `<ereg regexp=".*" search_in="hdr" header="${header}:" assign_to="${header}"/>`)
  .join('')}</action>`;
const HANG_UP_AS_CALLEE = [
  send(
    [
      'BYE sip:livekit@[livekit] SIP/2.0',
      'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]',
      'From: [$To]',
      'To: [$From]',
      '[last_Call-ID:]',
      'CSeq: 1 BYE',
      'Max-Forwards: 70',
      ...EMPTY,
    ],
    { retransmit: true },
  ),
  receiveResponse(200),
];
/** The request by which a test continues a waiting script. No phone sends this method. */
const CONTINUE = 'INFO';

export function answerAndHangUp({
  afterRingingMs,
  talkMs,
}: {
  afterRingingMs: number;
  talkMs: number;
}): Script {
  return [
    ...RINGING,
    pause(afterRingingMs),
    respondToInvite('200 OK', OFFER),
    `<recv request="ACK">${ASSIGN_ADDRESSES}</recv>`,
    pause(talkMs),
    ...HANG_UP_AS_CALLEE,
  ];
}

/** Hangs up at {@link Phone.continueScript}. */
export function answerAndTalk({ afterRingingMs }: { afterRingingMs: number }): Script {
  return [
    ...RINGING,
    pause(afterRingingMs),
    respondToInvite('200 OK', OFFER),
    `<recv request="ACK">${ASSIGN_ADDRESSES}</recv>`,
    receive(CONTINUE),
    ...HANG_UP_AS_CALLEE,
  ];
}

/** Answers at the first {@link Phone.continueScript}, and hangs up at the second. */
export function ringAndTalk(): Script {
  return [
    ...RINGING,
    receive(CONTINUE),
    respondToInvite('200 OK', OFFER),
    `<recv request="ACK">${ASSIGN_ADDRESSES}</recv>`,
    receive(CONTINUE),
    ...HANG_UP_AS_CALLEE,
  ];
}

/** A request of the caller. The branch relates a CANCEL, and the ACK of a refusal, to its INVITE. */
const request = (
  method: string,
  { branch, toTag = '', body = EMPTY }: { branch: string; toTag?: string; body?: string[] },
) => [
  `${method} sip:[service]@[livekit] SIP/2.0`,
  `Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[pid]-${branch}`,
  `From: <sip:[caller]@[local_ip]:[local_port]>;tag=${PHONE_TAG}`,
  `To: <sip:[service]@[livekit]>${toTag}`,
  'Call-ID: [call_id]',
  `CSeq: 1 ${method}`,
  'Contact: <sip:[caller]@[local_ip]:[local_port]>',
  'Max-Forwards: 70',
  ...body,
];
const HANG_UP = send(
  request('BYE', { branch: 'bye', toTag: '[peer_tag_param]' }).map((line) =>
    line.replace('CSeq: 1', 'CSeq: 2'),
  ),
  { retransmit: true },
);
const acknowledge = (branch: string) => send(request('ACK', { branch, toTag: '[peer_tag_param]' }));
const CALLING = [
  send(request('INVITE', { branch: 'invite', body: OFFER }), { retransmit: true }),
  receiveOptionalResponse(100),
];

export function callAndStay(): Script {
  return [...CALLING, receiveOptionalResponse(180), receiveResponse(200), acknowledge('ack'), ...ANSWER_BYE];
}

/** Hangs up at {@link Phone.continueScript}. */
export function callAndTalk(): Script {
  return [
    ...CALLING,
    receiveOptionalResponse(180),
    receiveResponse(200),
    acknowledge('ack'),
    receive(CONTINUE),
    HANG_UP,
    receiveResponse(200),
  ];
}

export function callAndGiveUp({ afterRingingMs }: { afterRingingMs: number }): Script {
  return [
    ...CALLING,
    receiveResponse(180),
    pause(afterRingingMs),
    send(request('CANCEL', { branch: 'invite' }), { retransmit: true }),
    receiveResponse(200),
    receiveResponse(487),
    acknowledge('invite'),
  ];
}

export interface SipMessage {
  readonly at: number;
  readonly direction: 'sent' | 'received';
  /** The first line, such as `BYE sip:...` or `SIP/2.0 486 Busy Here`. */
  readonly line: string;
  readonly headers: readonly string[];
}

export interface Phone {
  /** host:port */
  readonly address: string;
  /** Returns the messages until now, oldest first. */
  messages(): readonly SipMessage[];
  /** Resolves with the first message that begins with this text. */
  waitForMessage(direction: SipMessage['direction'], begins: string, withinMs?: number): Promise<SipMessage>;
  /** Continues a script that waits for the test. */
  continueScript(): Promise<void>;
  /** Resolves at the end of the script; rejects if a received message differs from the script. */
  scriptEnded(): Promise<void>;
  stop(): Promise<void>;
}

/** @param calls the dialled number and the caller's number; a phone without them waits for a call */
export async function startPhone(
  script: Script,
  {
    folder,
    livekitAddress,
    calls,
  }: {
    folder: string;
    livekitAddress: string;
    calls?: { readonly number: string; readonly from: string };
  },
): Promise<Phone> {
  await mkdir(folder);
  const file = (name: string) => join(folder, name);
  await writeFile(
    file('script.xml'),
    `<?xml version="1.0"?>\n<scenario name="phone">\n${script.join('\n')}\n</scenario>\n`,
  );
  const [port, controlPort] = await freePorts(2);
  const address = `127.0.0.1:${port}`;
  const args = [
    ...['-sf', file('script.xml'), '-m', '1', '-nostdin'],
    ...[
      '-i',
      '127.0.0.1',
      '-p',
      String(port),
      '-mi',
      '127.0.0.1',
      '-ci',
      '127.0.0.1',
      '-cp',
      String(controlPort),
    ],
    ...['-key', 'livekit', livekitAddress, '-key', 'caller', calls?.from ?? ''],
    ...['-trace_msg', '-message_file', file('messages.txt'), '-trace_err', '-error_file', file('errors.txt')],
    ...['-trace_stat', '-stf', file('statistics.csv')],
    ...(calls === undefined ? [] : ['-s', calls.number, livekitAddress]),
  ];
  // sipp records local times.
  const child = spawn('sipp', args, {
    stdio: 'ignore',
    env: { PATH: process.env.PATH ?? '', TZ: 'UTC', TERM: 'dumb' },
  });
  await once(child, 'spawn');
  const read = (name: string) => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '');
  const messages = () => parse(read('messages.txt'));
  const find = (direction: SipMessage['direction'], begins: string) =>
    messages().find((message) => message.direction === direction && message.line.startsWith(begins));
  const describeFailure = () =>
    [...messages().map(({ direction, line }) => `${direction} ${line}`), read('errors.txt')].join('\n');
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;

  // sipp writes its first statistics when it listens.
  await vi.waitFor(() => {
    if (!hasEnded() && read('statistics.csv') === '') throw new Error('sipp is not listening');
  }, WAIT);
  if (hasEnded() && child.exitCode !== 0)
    throw new Error(`sipp ended with ${child.exitCode}:\n${describeFailure()}`);
  return {
    address,
    messages,
    async waitForMessage(direction, begins, withinMs) {
      const isFinal = () => find(direction, begins) !== undefined || hasEnded();
      await vi.waitFor(
        () => {
          if (!isFinal()) throw new Error(`sipp has not yet ${direction} ${begins}:\n${describeFailure()}`);
        },
        { ...WAIT, ...(withinMs !== undefined && { timeout: withinMs }) },
      );
      const message = find(direction, begins);
      if (message === undefined)
        throw new Error(`sipp ended without having ${direction} ${begins}:\n${describeFailure()}`);
      return message;
    },
    async continueScript() {
      const last = messages().findLast(({ direction }) => direction === 'received');
      // sipp copies these headers into the script's next message.
      const headers = last?.headers.filter((header) => /^(Via|From|To|Call-ID|CSeq):/i.test(header)) ?? [];
      const text = [`${CONTINUE} sip:phone@${address} SIP/2.0`, ...headers, ...EMPTY, '', ''].join('\r\n');
      const socket = createSocket('udp4');
      await new Promise((resolve) => socket.send(text, port, '127.0.0.1', resolve));
      socket.close();
    },
    async scriptEnded() {
      await ended(child);
      if (child.exitCode !== 0) throw new Error(`sipp ended with ${child.exitCode}:\n${describeFailure()}`);
    },
    stop: () => kill(child),
  };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

const MESSAGE =
  /^-{20,} (\d{4}-\d\d-\d\d)\s+(\d\d:\d\d:\d\d\.\d{3})\d*\n(?:UDP|TCP) message (sent|received)[^\n]*\n\n([^\r\n]*)\r?\n([\s\S]*?)\r?\n\r?\n/gm;

function parse(record: string): SipMessage[] {
  return [...record.matchAll(MESSAGE)].map(([, date, time, direction, line = '', headers = '']) => ({
    at: Date.parse(`${date}T${time}Z`),
    direction: direction === 'sent' ? 'sent' : 'received',
    line,
    headers: headers.split(/\r?\n/),
  }));
}
