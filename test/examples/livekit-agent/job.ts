/*
 * The agent of clients/examples/livekit-agent without models, for a job process of LiveKit Agents. scripts/test-examples.ts
 * copies this file into the example. The test closes the room by a message.
 */
import { defineAgent } from '@livekit/agents';
import { DisconnectReason, RoomEvent } from '@livekit/rtc-node';
import { runCall } from './run-call.ts';
import { createServices } from './services.ts';

export default defineAgent({
  entry: (ctx) => {
    process.on('message', (message) => {
      if (message === 'close the room') {
        ctx.room.emit(RoomEvent.Disconnected, DisconnectReason.ROOM_DELETED);
      }
    });
    const startConversation = async () => {
      process.send?.({ case: 'conversation', value: null });
    };
    return runCall(ctx, { ...createServices(), startConversation });
  },
});
