import { expect, test } from 'vitest';
import { openSignedIn, startConsole, useBrowser } from './harness.ts';

useBrowser();

const CALLS = 10_000;
const REQUESTS = 50;
const NUMBER = new Intl.NumberFormat('en').format(CALLS);

test('10,000 live calls scroll in few rows, and one stop ends them while the list is open', async () => {
  const server = await startConsole();
  for (let start = 0; start < CALLS; start += REQUESTS) {
    const ids = Array.from({ length: REQUESTS }, (_, index) => `call-${start + index + 1}`);
    await Promise.all(ids.map((id) => server.send('POST', '/calls', { id, agentId: 'receptionist' })));
  }
  const { page, problems } = await openSignedIn(server);
  const list = page.getByRole('region', { name: 'List of calls' });
  const rows = list.locator('tbody tr[aria-rowindex]');
  const lastIndex = async () => Number(await rows.last().getAttribute('aria-rowindex'));
  await expect.poll(() => lastIndex()).toBeGreaterThan(5);
  expect(await rows.count()).toBeLessThan(100);
  // Each page of calls has 100.
  for (let last = await lastIndex(); last < 1_000; last = await lastIndex()) {
    await list.evaluate((region) => {
      region.scrollTop = region.scrollHeight;
    });
    await expect.poll(() => lastIndex()).toBeGreaterThan(last);
    expect(await rows.count()).toBeLessThan(100);
  }

  const { page: operator } = await openSignedIn(server, '/console/stop');
  await operator.getByRole('combobox', { name: 'What to stop' }).selectOption('Everything');
  await operator.getByRole('button', { name: 'Preview' }).click();
  await operator.getByText(`${NUMBER} calls match`, { exact: true }).waitFor();
  await operator.getByLabel('Reason').fill('wrong advice');
  await operator.getByLabel('Type the number to confirm').fill(String(CALLS));
  await operator.getByRole('button', { name: 'Stop calls' }).click();
  await operator.getByText(`${NUMBER} calls are cancelled. No room is left.`).waitFor();
  await page.getByText('No live calls').waitFor();
  expect(problems).toEqual([]);
});
