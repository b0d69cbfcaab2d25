import { expect, test } from 'vitest';
import { openSignedIn, startCalls, startConsole, useBrowser } from './harness.ts';

useBrowser();

test('the health shows an outage of LiveKit, the rooms that are left, and the recovery', async () => {
  const server = await startConsole({
    RETRY_MAX_AGE_MS: '1500',
    RETRY_MAX_DELAY_MS: '1000',
    RECONCILE_SCHEDULE: '* * * * * *',
  });
  const [first = '', second = ''] = await startCalls(server, 3);
  const { page, problems } = await openSignedIn(server, '/console/health');
  const tile = (label: string) =>
    page.locator('dl > div').filter({ has: page.getByText(label, { exact: true }) });
  await tile('LiveKit').getByText('Reachable', { exact: true }).waitFor();
  await tile('Live calls').getByText('3', { exact: true }).waitFor();
  await page.getByText('None. Every room of an ended call is gone.').waitFor();
  // hangup gives up a deletion after attempts, and makes none while LiveKit is unreachable.
  const { emulator } = server.livekit;
  emulator.setFault('DeleteRoom', { kind: 'status500' });
  for (const id of [first, second]) await server.send('DELETE', `/calls/${id}`);
  await page.getByRole('link', { name: first }).waitFor();
  const retry = page.getByRole('button', { name: 'Try all 2 again now' });
  await retry.waitFor();
  await page.getByText('Given up').first().waitFor();
  emulator.setFault('DeleteRoom', null);
  emulator.setFault('*', { kind: 'reset' });
  await tile('LiveKit').getByText('Unreachable').waitFor();
  emulator.setFault('*', null);
  await retry.click();
  await page.getByText('None. Every room of an ended call is gone.').waitFor();
  await tile('LiveKit').getByText('Reachable', { exact: true }).waitFor();
  await tile('Live calls').getByText('1', { exact: true }).waitFor();
  expect(await server.livekit.roomNames()).toHaveLength(1);
  expect(problems).toEqual([]);
});

test('ages are right although the clock of the browser is wrong', async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  const { page } = await openSignedIn(server, '/console/calls');
  await page.clock.setFixedTime(Date.now() + 3 * 3_600_000);
  await page.goto(`${server.url}/console/health`);
  const webhook = page.locator('dl > div').filter({ hasText: 'Last webhook' });
  await webhook.getByText(/\d+ s ago/).waitFor();
  expect(await webhook.textContent()).not.toContain(' h ');
});

test('charts have a summary and a table for screen readers', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { page, problems } = await openSignedIn(server, '/console/health', { colorScheme: 'dark' });
  const chart = page.getByRole('img', { name: /^Live calls: now 2/ });
  await chart.waitFor();
  expect(await chart.locator('canvas').count()).toBe(1);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.getByText('Show as a table').click();
  const row = page.getByRole('table').getByRole('row').nth(1);
  expect(await row.getByRole('cell').first().textContent()).toBe('2');
  expect(problems).toEqual([]);
});

test('the checks run on request, and only for a key with the scope admin', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/health');
  await page.getByRole('button', { name: 'Run the checks' }).click();
  await page.getByText(/Checked at/).waitFor();
  await page.getByText('SQLite').last().waitFor();
  const { key } = await server.createKey(['calls:read']);
  const { page: second } = await openSignedIn({ ...server, key }, '/console/health');
  await second.getByText('This key lacks the scope admin.').waitFor();
  expect(await second.getByRole('button', { name: 'Run the checks' }).count()).toBe(0);
});

test('a key without calls:read gets no health', async () => {
  const server = await startConsole();
  const { key } = await server.createKey(['calls:stop']);
  const { page, requests } = await openSignedIn({ ...server, key }, '/console/health');
  await page.getByText('This key lacks the scope calls:read.').waitFor();
  expect(requests.filter((url) => url.includes('health.get'))).toEqual([]);
});
