import { createHangup } from '@hangup/client';
import { SipClient } from 'livekit-server-sdk';
import { startConversation } from './conversation.ts';
import type { CallServices } from './run-call.ts';

const RINGING_TIMEOUT_S = 40;

/** Returns a variable. @throws if the variable is not set */
function read(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set`);
  return value;
}

export function createServices(): CallServices {
  const sip = new SipClient(read('LIVEKIT_URL'), read('LIVEKIT_API_KEY'), read('LIVEKIT_API_SECRET'));
  const trunkId = read('SIP_TRUNK_ID');
  return {
    hangup: createHangup({ url: read('HANGUP_URL'), apiKey: read('HANGUP_API_KEY') }),
    dial: async (roomName, phoneNumber) => {
      // Without this wait, the agent would speak to a phone that still rings.
      await sip.createSipParticipant(trunkId, phoneNumber, roomName, {
        participantIdentity: 'phone',
        waitUntilAnswered: true,
        ringingTimeout: RINGING_TIMEOUT_S,
      });
    },
    startConversation,
  };
}
