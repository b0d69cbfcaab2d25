import { type JobContext, voice } from '@livekit/agents';

/** Starts the conversation with the phone. Replace the models with your own. */
export async function startConversation(ctx: JobContext): Promise<void> {
  const session = new voice.AgentSession({
    stt: 'deepgram/nova-3',
    llm: 'openai/gpt-4.1-mini',
    tts: 'cartesia/sonic-2',
  });
  ctx.addShutdownCallback(() => session.close());
  await session.start({
    agent: new voice.Agent({ instructions: 'You remind the callee of an appointment. Be short.' }),
    room: ctx.room,
  });
  session.generateReply({ instructions: 'Greet the callee.' });
}
