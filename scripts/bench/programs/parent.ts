import type { Server } from 'node:http';
import { z } from 'zod';

const Request = z.object({ id: z.number(), message: z.unknown() });

/** The options that the benchmark gave this program. */
export function readOptions<Options>(schema: z.ZodType<Options>): Options {
  return schema.parse(JSON.parse(process.argv[2] ?? '{}'));
}

/** Answers the benchmark's requests one by one, and ends with the benchmark. */
export function answerParent(port: number, answer: (message: unknown) => unknown): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', async (raw) => {
    const { id, message } = Request.parse(raw);
    try {
      process.send?.({ id, answer: (await answer(message)) ?? null });
    } catch (error) {
      process.send?.({
        id,
        failure: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
  });
  process.send?.({ ready: { port } });
}

/** Listens on a free port of the loopback address. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
