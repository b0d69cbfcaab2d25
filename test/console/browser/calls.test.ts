import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import {
  holdResponses,
  openConsole,
  openSignedIn,
  signIn,
  startCalls,
  startConsole,
  useBrowser,
} from './harness.ts';

useBrowser();

async function brokenRules(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page }).include('main').analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

const link = (page: Page, id: string) => page.getByRole('link', { name: id, exact: true });
const row = (page: Page, id: string) => page.getByRole('row').filter({ has: link(page, id) });

test('the table shows new calls, their participants and their ends by itself', async () => {
  const server = await startConsole();
  const { page, requests, problems } = await openSignedIn(server);
  await page.getByText('No live calls').waitFor();
  expect(await brokenRules(page)).toEqual([]);
  await startCalls(server, 2);
  await row(page, 'call-1').getByText('Active').waitFor();
  await row(page, 'call-1').getByText('agent, phone').waitFor();
  await row(page, 'call-2').getByText('+15551000001').waitFor();
  expect(await brokenRules(page)).toEqual([]);
  await server.send('DELETE', '/calls/call-2');
  await row(page, 'call-2').getByText('Cancelled').waitFor();
  await link(page, 'call-2').waitFor({ state: 'detached' });
  await page.getByText('1 call', { exact: true }).waitFor();
  expect(requests.filter((url) => !url.startsWith(server.url))).toEqual([]);
  expect(problems).toEqual([]);
});

test('new calls appear after the clock of the machine is set back', async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  const { page } = await openSignedIn(server);
  await link(page, 'call-1').waitFor();
  await page.clock.setSystemTime(Date.now() - 3_600_000);
  await startCalls(server, 1, { prefix: 'later' });
  await link(page, 'later-1').waitFor();
});

test('the filters close when the keyboard leaves them', async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  const { page } = await openSignedIn(server);
  await link(page, 'call-1').waitFor();
  await page.getByRole('button', { name: 'Filters' }).focus();
  await page.keyboard.press('Enter');
  const panel = page.getByRole('dialog', { name: 'Filters' });
  const done = panel.getByRole('button', { name: 'Done' });
  await done.waitFor();
  await panel.getByLabel('Agent').focus();
  await page.keyboard.press('Tab');
  expect(await panel.isVisible()).toBe(true);
  await done.focus();
  await page.keyboard.press('Tab');
  await panel.waitFor({ state: 'hidden' });
});

test('the filters are in the address, so that another session has the same view', async () => {
  const server = await startConsole();
  await startCalls(server, 2, { agentId: 'sales', prefix: 'sale' });
  await startCalls(server, 2, { agentId: 'survey', prefix: 'survey' });
  await server.send('DELETE', '/calls/sale-1');
  const { page } = await openSignedIn(server);
  await link(page, 'survey-1').waitFor();
  await page.getByRole('button', { name: 'Filters' }).click();
  const panel = page.getByRole('dialog', { name: 'Filters' });
  await panel.getByLabel('Agent').fill('sales');
  await link(page, 'survey-1').waitFor({ state: 'detached' });
  expect(await brokenRules(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await page.getByRole('combobox', { name: 'Status' }).selectOption({ label: 'All calls' });
  await link(page, 'sale-1').waitFor();
  const { pathname, search } = new URL(page.url());
  expect(search).toBe('?status=any&agentId=sales');

  const other = await openSignedIn(server, `${pathname}${search}`);
  await link(other.page, 'sale-1').waitFor();
  await link(other.page, 'sale-2').waitFor();
  expect(await link(other.page, 'survey-1').count()).toBe(0);
  await other.page.getByRole('button', { name: 'Remove the filter Agent' }).click();
  await link(other.page, 'survey-1').waitFor();
});

test('the search finds a call by its id, its room and its phone number', async () => {
  const server = await startConsole();
  await startCalls(server, 3);
  await server.send('POST', '/calls', { id: 'other', roomName: 'support-berlin' });
  const { page } = await openSignedIn(server);
  const search = page.getByLabel('Search');
  const found: (readonly [string, string])[] = [
    ['call-2', 'call-2'],
    ['support', 'other'],
    ['1000002', 'call-3'],
  ];
  for (const [text, id] of found) {
    await search.fill(text);
    await page.waitForURL(`**/console/calls?text=${text}`);
    await page.getByText('1 call', { exact: true }).waitFor();
    await link(page, id).waitFor();
  }
  await search.fill('nothing');
  await page.getByText('No calls match “nothing”').waitFor();
  await page.getByRole('button', { name: 'Clear the search' }).click();
  await link(page, 'call-1').waitFor();
  expect(await search.inputValue()).toBe('');
});

test('one selected call is cancelled alone, and a range by a cancellation with a reason', async () => {
  const server = await startConsole();
  await startCalls(server, 6);
  const { page } = await openSignedIn(server);
  const box = (number: number) => page.getByRole('checkbox', { name: `Select call-${number}`, exact: true });
  await box(6).check();
  await page.getByRole('button', { name: 'Cancel call' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('The call is cancelled.').waitFor();

  await box(5).check();
  await box(3).click({ modifiers: ['Shift'] });
  await page.getByText('3 selected').waitFor();
  await page.getByRole('button', { name: 'Cancel 3 calls' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByText('Enter a reason.').waitFor();
  await dialog.getByLabel('Reason').fill('the agent repeats itself');
  await dialog.getByRole('button', { name: 'Confirm' }).dblclick();
  await page.getByText('hangup cancels 3 calls.').waitFor();
  await page.getByText('2 calls', { exact: true }).waitFor();
  const { cancellations } = (await server.send('GET', '/cancellations')) as { cancellations: unknown[] };
  expect(cancellations.length).toBe(1);
  await page.getByText('selected').waitFor({ state: 'detached' });
});

test('the dialog keeps its calls and its reason when one of the selected calls ends meanwhile', async () => {
  const server = await startConsole();
  await startCalls(server, 3);
  const { page } = await openSignedIn(server);
  for (const number of [1, 2]) await page.getByRole('checkbox', { name: `Select call-${number}` }).check();
  await page.getByRole('button', { name: 'Cancel 2 calls' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill('the agent repeats itself');
  for (const number of [1, 2]) await server.send('DELETE', `/calls/call-${number}`);
  await page.getByText('selected').waitFor({ state: 'detached' });
  expect(await dialog.getByLabel('Reason').inputValue()).toBe('the agent repeats itself');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('hangup cancels 2 calls.').waitFor();
  await expect
    .poll(() => server.send('GET', '/cancellations'))
    .toMatchObject({ cancellations: [{ counts: { cancelled: 0, alreadyEnded: 2 } }] });
});

test('a late response of a cancel does not close the dialog of another call', async () => {
  const server = await startConsole();
  await startCalls(server, 3);
  const { page } = await openSignedIn(server);
  const box = (number: number) => page.getByRole('checkbox', { name: `Select call-${number}`, exact: true });
  const dialog = page.getByRole('dialog');
  const cancel = async (numbers: readonly number[], name: string) => {
    for (const number of numbers) await box(number).check();
    await page.getByRole('button', { name, exact: true }).click();
    await dialog.getByLabel('Reason').fill('the agent repeats itself');
  };
  const release = await holdResponses(page, /calls\.cancel|cancellations\.create/);
  await cancel([1], 'Cancel call');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByRole('button', { name: 'Go back' }).click();
  await page.getByText('selected').waitFor({ state: 'detached' });
  await cancel([2, 3], 'Cancel 2 calls');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByRole('button', { name: 'Go back' }).click();
  await page.getByText('selected').waitFor({ state: 'detached' });
  await startCalls(server, 1, { prefix: 'later' });
  await page.getByRole('checkbox', { name: 'Select later-1' }).check();
  await page.getByRole('button', { name: 'Cancel call' }).click();
  const responses = ['calls.cancel', 'cancellations.create'].map((name) =>
    page.waitForResponse(`**/console/trpc/${name}*`),
  );
  release();
  await Promise.all(responses);
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('The call is cancelled.').waitFor();
  expect(await server.send('GET', '/calls/later-1')).toMatchObject({ status: 'cancelled' });
});

test('a room that is gone before the page shows the response with it is not reported for ever', async () => {
  const server = await startConsole({ RETRY_INITIAL_DELAY_MS: '60000' });
  await startCalls(server, 1);
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openConsole(server.url);
  // TanStack Query shows a response after such a timer. A page with many events is as late.
  await page.addInitScript(`
    const set = window.setTimeout;
    window.held = null;
    window.setTimeout = (run, ms, ...args) =>
      window.held !== null && !ms ? window.held.push(run) : set(run, ms, ...args);
  `);
  await page.reload();
  let lists = 0;
  page.on('requestfinished', (request) => {
    if (request.url().includes('roomDeletions.list')) lists += 1;
  });
  await signIn(page, server.key);
  // The first, and the one after the first event.
  await expect.poll(() => lists).toBe(2);
  const release = await holdResponses(page, /roomDeletions\.list/);
  const requested = page.waitForRequest(/roomDeletions\.list/);
  await server.send('DELETE', '/calls/call-1');
  await requested;
  await page.evaluate('window.held = []');
  release();
  await expect.poll(() => lists).toBe(3);
  server.livekit.emulator.setFault('DeleteRoom', null);
  await server.send('POST', '/calls/call-1/room-deletion/retry', {});
  const { page: second } = await openSignedIn(server, '/console/calls/call-1');
  await second.getByText('Deleted', { exact: true }).waitFor();
  await page.evaluate(`
    const { held } = window;
    window.held = null;
    for (const run of held) run();
  `);
  await expect.poll(() => lists).toBe(4);
  await page.getByText('The room of 1 ended call is not deleted').waitFor({ state: 'hidden' });
});

test('all calls that match lead to the Stop page with the same filter', async () => {
  const server = await startConsole();
  await startCalls(server, 2, { agentId: 'sales' });
  const { page } = await openSignedIn(server, '/console/calls?agentId=sales&status=any');
  await page.getByRole('checkbox', { name: 'Select all live calls that match' }).check();
  await page.getByText('2 selected').waitFor();
  await page.getByRole('link', { name: 'Stop all that match' }).click();
  await page.getByRole('heading', { name: 'Stop', exact: true }).waitFor();
  const { pathname, search } = new URL(page.url());
  expect(`${pathname}${search}`).toBe('/console/stop?agentId=sales');
});

test('a list that has only ended calls does not offer to select all live calls', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  await server.send('DELETE', '/calls/call-1');
  const { page } = await openSignedIn(server, '/console/calls?status=any');
  const selectAll = page.getByRole('checkbox', { name: 'Select all live calls that match' });
  await link(page, 'call-1').waitFor();
  await selectAll.waitFor();
  await server.send('DELETE', '/calls/call-2');
  await selectAll.waitFor({ state: 'detached' });
  await page.setViewportSize({ width: 390, height: 844 });
  await page
    .getByRole('listitem')
    .filter({ has: link(page, 'call-2') })
    .waitFor();
  expect(await page.getByText('Select all live calls that match').count()).toBe(0);
});

test('a key that may only read gets no selection, and one without calls:stop cancels one call at a time', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const reader = await server.createKey(['calls:read']);
  const { page } = await openSignedIn({ url: server.url, key: reader.key });
  await link(page, 'call-1').waitFor();
  expect(await page.getByRole('checkbox').count()).toBe(0);

  const canceller = await server.createKey(['calls:read', 'calls:cancel']);
  const { page: other } = await openSignedIn({ url: server.url, key: canceller.key });
  await other.getByRole('checkbox', { name: 'Select call-1' }).check();
  await other.getByRole('button', { name: 'Cancel call' }).waitFor();
  await other.getByRole('checkbox', { name: 'Select call-2' }).check();
  await other.getByText('the key needs the scope calls:stop').waitFor();
  expect(await other.getByRole('button', { name: /^Cancel/ }).count()).toBe(0);
});

test('the list is cards on a phone, and nothing is cut off', async () => {
  const server = await startConsole();
  await startCalls(server, 3, {
    agentId: 'an-agent-with-a-name-of-many-words-and-letters',
    prefix: 'x'.repeat(100),
  });
  const options = { viewport: { width: 390, height: 844 }, colorScheme: 'dark' } as const;
  const { page } = await openSignedIn(server, '/console/calls', options);
  await page.getByRole('listitem').getByText('agent, phone').first().waitFor();
  expect(await page.evaluate('document.documentElement.scrollWidth > innerWidth')).toBe(false);
  expect(await brokenRules(page)).toEqual([]);
  await page.getByRole('checkbox').first().check();
  expect(await brokenRules(page)).toEqual([]);
  await page.getByRole('button', { name: 'Cancel 3 calls' }).waitFor();
});

/** Returns the first visible row of the table: its call, and its distance from the head of the table. */
function firstVisibleRow(page: Page): Promise<unknown> {
  return page.evaluate(`(() => {
    const region = document.querySelector('[aria-label="List of calls"]');
    const top = region.querySelector('th').getBoundingClientRect().bottom;
    const rows = [...region.querySelectorAll('tbody tr[aria-rowindex]')];
    const row = rows.find((one) => one.getBoundingClientRect().bottom > top + 1);
    return [row.querySelector('a').ariaLabel, Math.round(row.getBoundingClientRect().top - top)];
  })()`);
}

test('the visible rows keep their place when calls above them start and end', async () => {
  const server = await startConsole();
  for (let number = 1; number <= 60; number += 1)
    await server.send('POST', '/calls', { id: `old-${number}` });
  const { page } = await openSignedIn(server);
  await link(page, 'old-60').waitFor();
  await page.getByRole('region', { name: 'List of calls' }).evaluate((region) => {
    region.scrollTop = 1_003;
  });
  await link(page, 'old-40').waitFor();
  const before = await firstVisibleRow(page);
  for (let number = 1; number <= 5; number += 1) await server.send('POST', '/calls', { id: `new-${number}` });
  await page.getByText('65 calls', { exact: true }).waitFor();
  expect(await firstVisibleRow(page)).toEqual(before);
  await server.send('DELETE', '/calls/new-1');
  await server.send('DELETE', '/calls/old-60');
  await expect.poll(() => page.getByRole('table').getAttribute('aria-rowcount')).toBe('64');
  expect(await firstVisibleRow(page)).toEqual(before);
});
