import { calls } from './calls.ts';
import { router } from './trpc.ts';

export const appRouter = router({ calls });

/** For clients: `createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: 'http://127.0.0.1:8080/trpc' })] })`. */
export type AppRouter = typeof appRouter;
