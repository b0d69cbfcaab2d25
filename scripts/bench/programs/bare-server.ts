/*
 * The baseline of a read: node:http, which answers every request with the same bytes.
 */
import { createServer } from 'node:http';
import { z } from 'zod';
import { answerParent, listen, readOptions } from './parent.ts';

const { headers, body } = readOptions(
  z.object({ headers: z.record(z.string(), z.string()), body: z.string() }),
);

const server = createServer((_request, response) => {
  response.writeHead(200, headers).end(body);
});

answerParent(await listen(server), () => null);
