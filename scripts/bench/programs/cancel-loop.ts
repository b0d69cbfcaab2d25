/*
 * The baseline of a cancellation of many calls: a client that lists 100 live calls, cancels them with 10 requests in flight,
 * and begins again until the list is empty.
 */
import { z } from 'zod';
import { answerParent, readOptions } from './parent.ts';

const { url, apiKey } = readOptions(z.object({ url: z.string(), apiKey: z.string() }));
const IN_FLIGHT = 10;
const LIVE = ['initiated', 'connecting', 'ringing', 'active'].map((status) => `&status=${status}`).join('');

const headers = { 'x-api-key': apiKey };
const List = z.object({ data: z.object({ calls: z.array(z.object({ id: z.string() })) }) });

async function listLiveCalls(): Promise<string[]> {
  const response = await fetch(`${url}/api/v1/calls?limit=100${LIVE}`, { headers });
  const body = await response.json();
  if (response.status !== 200) throw new Error(`list: ${response.status} ${JSON.stringify(body)}`);
  return List.parse(body).data.calls.map(({ id }) => id);
}

async function cancel(id: string): Promise<void> {
  const response = await fetch(`${url}/api/v1/calls/${id}`, { method: 'DELETE', headers });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`cancel: ${response.status} ${text}`);
}

async function cancelAll(ids: string[]): Promise<void> {
  const worker = async () => {
    for (let id = ids.pop(); id !== undefined; id = ids.pop()) await cancel(id);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

answerParent(0, async () => {
  let cancelled = 0;
  for (;;) {
    const ids = await listLiveCalls();
    if (ids.length === 0) return { cancelled };
    cancelled += ids.length;
    await cancelAll(ids);
  }
});
