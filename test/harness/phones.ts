import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RoomServiceClient, SipClient } from 'livekit-server-sdk';
import {
  API_KEY,
  API_SECRET,
  kill,
  type LiveKitNode,
  type LiveKitOptions,
  type LiveKitUnderTest,
  spawnLogged,
  startReal,
  waitUntilUp,
} from './livekit.ts';
import { freePorts } from './ports.ts';
import { startRedis } from './redis.ts';
import { type Phone, type Script, startPhone } from './sipp.ts';

/** The number that an inbound caller dials for each kind of LiveKit's dispatch rules. */
const NUMBERS = { individual: '+15559999', direct: '+15558888', callee: '+15557777' } as const;
type DispatchRule = keyof typeof NUMBERS;
/** The rooms of the individual rule are named `call-_CALLER_RANDOM`. */
export const DISPATCH_PREFIX = 'call-';
/** The room of all calls by the direct rule. */
export const DIRECT_ROOM = 'direct-support';
/** The room of all calls to the number of the callee rule. */
export const CALLEE_ROOM = `callee_${NUMBERS.callee}`;
export const ADOPTED_PREFIXES = [DISPATCH_PREFIX, 'direct-', 'callee_'] as const;

const DISPATCH_RULES = {
  individual: { type: 'individual', roomPrefix: DISPATCH_PREFIX },
  direct: { type: 'direct', roomName: DIRECT_ROOM },
  callee: { type: 'callee', roomPrefix: 'callee' },
} as const;

/** The protocol's numbers; the SDK does not export their enumeration. */
const TRANSPORTS = { UDP: 1, TCP: 2 } as const;

/** A real LiveKit with a real livekit-sip and phones. */
export interface PhoneNetwork {
  readonly livekit: LiveKitNode;
  /** Starts a phone that waits for a call. */
  startPhone(script: Script): Promise<Phone>;
  /** Calls an address from a room; resolves as soon as livekit-sip dials. */
  dial(
    roomName: string,
    address: string,
    options?: {
      readonly ringingTimeoutS?: number;
      readonly transport?: keyof typeof TRANSPORTS;
      /** The identity of the phone's participant: `phone` by default. */
      readonly identity?: string;
      readonly number?: string;
    },
  ): Promise<void>;
  /** Starts a phone that calls. The dispatch rule of the number, by default the individual rule, assigns the room. */
  receive(script: Script, from: string, rule?: DispatchRule): Promise<Phone>;
  /** Returns `sip.callStatus` of a phone in a room, by default of the first listed phone; undefined without a phone. */
  callStatus(roomName: string, identity?: string): Promise<string | undefined>;
  /** Kills livekit-sip with SIGKILL. */
  killSip(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Requires redis-server and sipp on PATH. livekit-server and livekit-sip are on PATH, or LIVEKIT_SERVER and LIVEKIT_SIP
 * are their paths.
 */
export async function startPhoneNetwork(options: LiveKitOptions): Promise<PhoneNetwork> {
  const folder = await mkdtemp(join(tmpdir(), 'hangup-phones-'));
  const cleanups = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    // In reverse order, because each process depends on the earlier ones.
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  };
  try {
    const redis = await startRedis();
    cleanups.push(() => redis.stop());
    const livekit = await startReal(process.env.LIVEKIT_SERVER || 'livekit-server', {
      ...options,
      redisAddress: redis.address,
    });
    cleanups.push(() => livekit.stop());
    const sip = await startSip(folder, { livekit, redisAddress: redis.address });
    cleanups.push(sip.stop);
    return { ...(await openNetwork({ folder, livekit, sip, cleanups })), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function openNetwork({
  folder,
  livekit,
  sip,
  cleanups,
}: {
  folder: string;
  livekit: LiveKitNode;
  sip: { readonly address: string; stop(): Promise<void> };
  cleanups: (() => Promise<void>)[];
}): Promise<Omit<PhoneNetwork, 'stop'>> {
  const client = new SipClient(livekit.url, API_KEY, API_SECRET);
  const rooms = new RoomServiceClient(livekit.url, API_KEY, API_SECRET);
  for (const rule of ['individual', 'direct', 'callee'] as const) {
    const { sipTrunkId } = await client.createSipInboundTrunk(rule, [NUMBERS[rule]], {
      allowedAddresses: ['127.0.0.1/32'],
    });
    await client.createSipDispatchRule(DISPATCH_RULES[rule], { name: rule, trunkIds: [sipTrunkId] });
  }
  let phones = 0;
  const start = async (script: Script, calls?: { number: string; from: string }) => {
    phones += 1;
    const phone = await startPhone(script, {
      folder: join(folder, `phone-${phones}`),
      livekitAddress: sip.address,
      ...(calls && { calls }),
    });
    cleanups.push(() => phone.stop());
    return phone;
  };
  return {
    livekit,
    startPhone: (script) => start(script),
    receive: (script, from, rule = 'individual') => start(script, { number: NUMBERS[rule], from }),
    async dial(
      roomName,
      address,
      { ringingTimeoutS, transport = 'UDP', identity = 'phone', number = '+15551234567' } = {},
    ) {
      const trunk = await client.createSipOutboundTrunk(roomName, address, ['+15550001'], {
        transport: TRANSPORTS[transport],
      });
      await client.createSipParticipant(trunk.sipTrunkId, number, roomName, {
        participantIdentity: identity,
        ...(ringingTimeoutS !== undefined && { ringingTimeout: ringingTimeoutS }),
      });
    },
    async callStatus(roomName, identity) {
      const participants = await rooms.listParticipants(roomName);
      const phones = participants.filter(({ attributes }) => 'sip.callStatus' in attributes);
      const phone = phones.find((candidate) => identity === undefined || candidate.identity === identity);
      return phone?.attributes['sip.callStatus'];
    },
    killSip: sip.stop,
  };
}

async function startSip(
  folder: string,
  { livekit, redisAddress }: { livekit: LiveKitUnderTest; redisAddress: string },
): Promise<{ readonly address: string; stop(): Promise<void> }> {
  const [port, healthPort] = await freePorts(2);
  const configFile = join(folder, 'sip.yaml');
  await writeFile(
    configFile,
    JSON.stringify({
      api_key: livekit.apiKey,
      api_secret: livekit.apiSecret,
      ws_url: livekit.url.replace('http', 'ws'),
      redis: { address: redisAddress },
      sip_port: port,
      listen_ip: '127.0.0.1',
      // By default, livekit-sip requires an interface other than loopback.
      nat_1_to_1_ip: '127.0.0.1',
      rtp_port: '20000-20400',
      health_port: healthPort,
      // By default, livekit-sip refuses calls under load with "cpu exhausted".
      max_cpu_utilization: 1,
      // sipp sends no audio, and livekit-sip would hang up after half a minute.
      media_timeout_initial: '10m',
      media_timeout: '10m',
      logging: { level: 'info', json: true },
    }),
  );
  const logFile = join(folder, 'sip.log');
  const server = await spawnLogged(
    process.env.LIVEKIT_SIP || 'livekit-sip',
    ['--config', configFile],
    logFile,
  );
  if (!(await waitUntilUp(`http://127.0.0.1:${healthPort}`, server))) {
    await kill(server);
    throw new Error(`livekit-sip did not start:\n${await readFile(logFile, 'utf8')}`);
  }
  return { address: `127.0.0.1:${port}`, stop: () => kill(server) };
}
