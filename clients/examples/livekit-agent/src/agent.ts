/*
 * A worker of LiveKit Agents that places outbound calls. hangup can cancel each call from its first moment, and the job of a
 * cancelled call ends at once.
 */
import { fileURLToPath } from 'node:url';
import { cli, defineAgent, ServerOptions } from '@livekit/agents';
import { AGENT_ID, runCall } from './run-call.ts';
import { createServices } from './services.ts';

const file = fileURLToPath(import.meta.url);

export default defineAgent({ entry: (ctx) => runCall(ctx, createServices()) });

// The framework imports this file into the process of each job too.
if (process.argv[1] === file) cli.runApp(new ServerOptions({ agent: file, agentName: AGENT_ID }));
