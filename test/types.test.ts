import { expect, test } from 'vitest';
import { compileClient as compile } from './harness/compile.ts';

const CLIENT = `
import { createTRPCClient, httpBatchLink } from '@trpc/client';
import type { AppRouter } from 'hangup';
const hangup = createTRPCClient<AppRouter>({ links: [httpBatchLink({ url: 'http://127.0.0.1:8080/trpc' })] });
const { status } = await hangup.calls.get.query({ callId: 'x' });
`;

test("a client's own project gets literal statuses from the types", async () => {
  expect(await compile(`${CLIENT} if (status === 'no_answer') console.log(status);`)).toBe('');
  expect(await compile(`${CLIENT} if (status === 'noanswer') console.log(status);`)).toMatch(
    /client\.ts.*error TS2367/,
  );
  expect(await compile(`${CLIENT} await hangup.calls.cancel.mutate({ id: 'x' });`)).toMatch(/callId/);
});
