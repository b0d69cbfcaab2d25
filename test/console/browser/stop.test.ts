import type { Locator, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  type ConsoleServer,
  openSignedIn,
  setVisibility,
  signIn,
  startCalls,
  startConsole,
  useBrowser,
} from './harness.ts';

useBrowser();

const STOP_ADDRESS = /\/console\/stop\/can_[0-9a-f]+$/;

const what = (page: Page) => page.getByRole('combobox', { name: 'What to stop' });
const preview = (page: Page) => page.getByRole('button', { name: 'Preview' });
const reason = (page: Page) => page.getByLabel('Reason');
const number = (page: Page) => page.getByLabel('Type the number to confirm');
const stopCalls = (page: Page) => page.getByRole('button', { name: 'Stop calls' });

/** Waits for the text of the preview, then confirms the stop. */
async function confirmStop(page: Page, calls: number, text = 'wrong advice'): Promise<void> {
  await page.getByText(`${calls} calls match`, { exact: true }).waitFor();
  await reason(page).fill(text);
  await number(page).fill(String(calls));
  await stopCalls(page).click();
}

async function previewEverything(page: Page): Promise<void> {
  await what(page).selectOption('Everything');
  await preview(page).click();
}

async function stopEverything(page: Page, calls: number): Promise<void> {
  await previewEverything(page);
  await confirmStop(page, calls);
}

async function liveCalls({ send }: ConsoleServer): Promise<readonly string[]> {
  const list = await send('GET', '/calls?status=initiated&status=connecting&status=ringing&status=active');
  return z
    .object({ calls: z.array(z.object({ id: z.string() })) })
    .parse(list)
    .calls.map(({ id }) => id)
    .toSorted();
}

async function countStops({ send }: ConsoleServer): Promise<number> {
  const list = await send('GET', '/cancellations');
  return z.object({ cancellations: z.array(z.unknown()) }).parse(list).cancellations.length;
}

test('an operator stops the calls of an agent, and a reload and another operator see the result', async () => {
  const server = await startConsole();
  await startCalls(server, 3);
  const others = await startCalls(server, 2, { agentId: 'sales', prefix: 'other' });
  // By Calls, whose filters read the agents too.
  const { page, problems } = await openSignedIn(server, '/console/calls');
  await page.getByRole('button', { name: 'Filters' }).click();
  await page.getByRole('link', { name: 'Stop', exact: true }).click();
  await what(page).click();
  await page.getByRole('option', { name: 'receptionist' }).click();
  await preview(page).click();
  await page.getByText('3 calls match').waitFor();
  await expect.poll(() => reason(page).evaluate((field) => field.matches(':focus'))).toBe(true);
  await reason(page).fill('wrong advice');
  await number(page).fill('3');
  await number(page).press('Enter');
  await page.waitForURL(STOP_ADDRESS);
  const done = '3 calls are cancelled. No room is left.';
  await page.getByText(done).waitFor();
  expect(await liveCalls(server)).toEqual(others);
  expect(await server.livekit.roomNames()).toHaveLength(2);
  await page.reload();
  await page.getByText(done).waitFor();
  const { page: second } = await openSignedIn(server, new URL(page.url()).pathname);
  await second.getByText(done).waitFor();
  await second.getByText('wrong advice').waitFor();
  await second.getByRole('link', { name: 'All stops' }).click();
  await second.getByRole('link', { name: 'agent receptionist' }).waitFor();
  expect(problems).toEqual([]);
});

test('the keyboard alone stops every call, and Enter leads to the next step', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { page } = await openSignedIn(server, '/console/stop');
  await what(page).focus();
  await page.keyboard.press('Space');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  expect(await what(page).locator('option:checked').textContent()).toBe('Everything');
  await page.keyboard.press('Enter');
  await page.getByText('2 calls match').waitFor();
  await expect.poll(() => reason(page).evaluate((field) => field.matches(':focus'))).toBe(true);
  await page.keyboard.type('outage of the carrier');
  await page.keyboard.press('Enter');
  await expect.poll(() => number(page).evaluate((field) => field.matches(':focus'))).toBe(true);
  expect(await countStops(server)).toBe(0);
  await page.keyboard.type('2');
  await page.keyboard.press('Enter');
  await page.getByText('2 calls are cancelled. No room is left.').waitFor();
});

test('a wrong number stops nothing, and the page gives the cause and keeps the reason', async () => {
  const server = await startConsole();
  const ids = await startCalls(server, 2);
  const { page } = await openSignedIn(server, '/console/stop');
  await stopCalls(page).click();
  await page.getByRole('alert').getByText('Choose the calls to stop').waitFor();
  await what(page).selectOption('Everything');
  await reason(page).fill('test');
  await stopCalls(page).click();
  await page.getByRole('alert').getByText('Check the preview, then type its number').waitFor();
  await page.getByText('2 calls match').waitFor();
  for (const typed of ['3', '', '02', '2a']) {
    await number(page).fill(typed);
    await stopCalls(page).click();
    await page.getByRole('alert').getByText('Type 2.').waitFor();
    expect(await number(page).evaluate((field) => field.matches(':focus'))).toBe(true);
  }
  expect(await reason(page).inputValue()).toBe('test');
  expect(page.url()).toMatch(/\/console\/stop$/);
  expect(await countStops(server)).toBe(0);
  expect(await liveCalls(server)).toEqual(ids);
});

test('a few calls that start after the preview are stopped too, and many need a new confirmation', async () => {
  const server = await startConsole();
  await startCalls(server, 3);
  const { page } = await openSignedIn(server, '/console/stop');
  await what(page).selectOption('receptionist');
  await preview(page).click();
  await page.getByText('3 calls match').waitFor();
  await startCalls(server, 6, { prefix: 'many' });
  await confirmStop(page, 3);
  await page.getByRole('alert').getByText('9 calls match now, and the preview had 3').waitFor();
  expect(await reason(page).inputValue()).toBe('wrong advice');
  expect(await number(page).inputValue()).toBe('');
  expect(await countStops(server)).toBe(0);
  await startCalls(server, 2, { prefix: 'few' });
  await confirmStop(page, 9);
  await page.getByText('11 calls are cancelled. No room is left.').waitFor();
});

test('a stop whose response is lost starts once', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { page } = await openSignedIn(server, '/console/stop');
  await previewEverything(page);
  await page.getByText('2 calls match').waitFor();
  let lost = 0;
  await page.route('**/console/trpc/cancellations.create*', async (route) => {
    if (lost === 2) return route.continue();
    lost += 1;
    await route.fetch();
    return route.abort();
  });
  await confirmStop(page, 2);
  await page.getByText('The stop cannot start twice').waitFor();
  await page.getByText('2 calls are cancelled. No room is left.').waitFor();
  expect(lost).toBe(2);
  expect(await countStops(server)).toBe(1);
});

test('a stop is sent again while its tab is hidden', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { page } = await openSignedIn(server, '/console/stop');
  await previewEverything(page);
  await page.getByText('2 calls match').waitFor();
  await page.route('**/console/trpc/cancellations.create*', (route) => route.abort());
  await confirmStop(page, 2);
  await page.getByText('The stop cannot start twice').waitFor();
  await setVisibility(page, 'hidden');
  await page.unroute('**/console/trpc/cancellations.create*');
  await expect.poll(() => countStops(server), { timeout: 30_000 }).toBe(1);
  await setVisibility(page, 'visible');
  await page.getByText('2 calls are cancelled. No room is left.').waitFor();
});

test('a stop whose response is lost and whose session then ends starts once', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { key, id } = await server.createKey(['calls:read', 'calls:stop']);
  const { page } = await openSignedIn({ ...server, key }, '/console/stop');
  await previewEverything(page);
  await page.getByText('2 calls match').waitFor();
  let isFirst = true;
  await page.route('**/console/trpc/cancellations.create*', async (route) => {
    if (!isFirst) return route.continue();
    isFirst = false;
    await route.fetch();
    await server.run('keys', 'revoke', id);
    return route.abort();
  });
  await confirmStop(page, 2);
  await page.getByText('The session has ended. After').waitFor();
  await signIn(page, server.key);
  // By the same request as before.
  await stopCalls(page).click();
  await page.getByText('2 calls are cancelled. No room is left.').waitFor();
  expect(await countStops(server)).toBe(1);
});

test('a stop that fails after the reader has left the page is reported there', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { key, id } = await server.createKey(['calls:read', 'calls:stop']);
  const { page } = await openSignedIn({ ...server, key }, '/console/stop?agentId=receptionist');
  await preview(page).click();
  await page.getByText('2 calls match').waitFor();
  const { promise, resolve: fail } = Promise.withResolvers<void>();
  await page.route('**/console/trpc/cancellations.create*', async (route) => {
    await promise;
    await route.continue();
  });
  await confirmStop(page, 2);
  await page.getByRole('link', { name: 'Calls', exact: true }).click();
  await page.getByText('call-1').first().waitFor();
  await server.run('keys', 'revoke', id);
  fail();
  await signIn(page, server.key);
  const message = page.getByRole('alert').filter({ hasText: 'The stop failed' });
  await message.getByText('agent receptionist').waitFor();
  await message.getByRole('link', { name: 'Open the page' }).click();
  await expect.poll(() => what(page).inputValue()).toBe('receptionist');
  expect(await countStops(server)).toBe(0);
});

test('a tab with a stop without a response closes only after a confirmation', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { page } = await openSignedIn(server, '/console/stop');
  let isAway = true;
  await page.route('**/console/trpc/cancellations.create*', (route) => {
    const isPreview = route.request().postData()?.includes('dryRun') === true;
    return isAway && !isPreview ? route.abort() : route.continue();
  });
  await stopEverything(page, 2);
  await page.getByText('The stop cannot start twice').waitFor();
  const [dialog] = await Promise.all([page.waitForEvent('dialog'), page.close({ runBeforeUnload: true })]);
  expect(dialog.type()).toBe('beforeunload');
  await dialog.dismiss();
  isAway = false;
  await page.getByText('2 calls are cancelled. No room is left.').waitFor();
  page.on('dialog', () => expect.unreachable());
  await Promise.all([page.waitForEvent('close'), page.close({ runBeforeUnload: true })]);
});

test('the progress is current without an event of the stream', async () => {
  const server = await startConsole({ RETRY_MAX_DELAY_MS: '1000' });
  await startCalls(server, 2);
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openSignedIn(server, '/console/keys');
  // As a proxy that keeps the events back.
  await page.route('**/console/trpc/events.stream*', () => {});
  await page.goto(`${server.url}/console/stop`);
  await stopEverything(page, 2);
  await page.getByText('0 of 2 rooms are gone.').waitFor();
  server.livekit.emulator.setFault('DeleteRoom', null);
  await page.getByText('2 calls are cancelled. No room is left.').waitFor();
  await page.getByText('Connection lost').waitFor();
});

test('a stop that is sent again never runs for the organization of a later sign-in', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  const { key } = await server.createKey(['calls:read', 'calls:write', 'calls:stop'], 'other');
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const calls = `${server.url}/api/v1/calls`;
  expect((await fetch(calls, { method: 'POST', headers, body: '{"id":"theirs"}' })).status).toBe(201);
  const { page } = await openSignedIn(server, '/console/stop');
  await previewEverything(page);
  await page.getByText('2 calls match').waitFor();
  await page.route('**/console/trpc/cancellations.create*', (route) => route.abort());
  await confirmStop(page, 2);
  await page.getByText('The stop cannot start twice').waitFor();
  const tab = await page.context().newPage();
  await tab.goto(`${server.url}/console/calls#key=${key}`);
  await tab.getByText('theirs').first().waitFor();
  await page.getByTitle('other').last().waitFor();
  await page.unroute('**/console/trpc/cancellations.create*');
  // Longer than the longest pause between two attempts.
  await page.waitForTimeout(5_000);
  expect(await (await fetch(`${calls}/theirs`, { headers })).json()).toMatchObject({
    data: { status: 'initiated' },
  });
});

test('a stop that is complete before the first response of its page is shown as complete', async () => {
  const server = await startConsole({ RETRY_MAX_DELAY_MS: '1000' });
  await startCalls(server, 2);
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openSignedIn(server, '/console/stop');
  const done = '2 calls are cancelled. No room is left.';
  let isFirst = true;
  await page.route('**/console/trpc/*cancellations.get*', async (route) => {
    if (!isFirst) return route.continue();
    isFirst = false;
    const response = await route.fetch();
    server.livekit.emulator.setFault('DeleteRoom', null);
    // Its events arrive on both pages.
    const { page: second } = await openSignedIn(server, new URL(page.url()).pathname);
    await second.getByText(done).waitFor();
    await route.fulfill({ response });
  });
  await stopEverything(page, 2);
  await page.getByText(done).waitFor();
  expect(isFirst).toBe(false);
});

test('the progress continues after an outage of LiveKit and a kill of hangup', async () => {
  const server = await startConsole({ RETRY_MAX_DELAY_MS: '1000' });
  await startCalls(server, 3);
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openSignedIn(server, '/console/stop');
  await stopEverything(page, 3);
  await page.getByText('0 of 3 rooms are gone.').waitFor();
  await page.getByText('The LiveKit server with the room does not respond.').first().waitFor();
  await server.kill();
  await page.getByText('Connection lost').waitFor();
  await page.getByText('0 of 3 rooms are gone.').waitFor();
  server.livekit.emulator.setFault('DeleteRoom', null);
  await server.restart();
  await page.getByText('3 calls are cancelled. No room is left.').waitFor();
});

test('a room that hangup has given up is tried again', async () => {
  const server = await startConsole({ RETRY_MAX_AGE_MS: '1000' });
  await startCalls(server, 2);
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openSignedIn(server, '/console/stop');
  await stopEverything(page, 2);
  await page.getByText('2 rooms may still exist').waitFor();
  server.livekit.emulator.setFault('DeleteRoom', null);
  await page.getByRole('button', { name: 'Try again now' }).first().click();
  await page.getByText('1 room may still exist').waitFor();
  // The first room can be in the list of waiting rooms, below.
  await page.getByRole('button', { name: 'Try again now' }).first().click();
  await page.getByText('The rooms that were given up are gone now.').waitFor();
  expect(await server.livekit.roomNames()).toEqual([]);
});

test('a retried room is not gone while the list of retried rooms is older than the list of given up ones', async () => {
  const server = await startConsole({ RETRY_MAX_AGE_MS: '1000', LIVEKIT_BACKGROUND_TIMEOUT_MS: '30000' });
  await startCalls(server, 2);
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openSignedIn(server, '/console/stop');
  // The list of open deletions stays as it was before the retry.
  await page.route('**/console/trpc/*roomDeletions.list*', async (route) => {
    const input = new URL(route.request().url()).searchParams.get('input') ?? '{}';
    const inputs = z
      .record(z.string(), z.object({ state: z.array(z.string()).optional() }))
      .parse(JSON.parse(input));
    const response = await route.fetch();
    const results = z.array(z.unknown()).parse(await response.json());
    const json = results.map((result, index) => {
      const { state = [] } = inputs[index] ?? {};
      return state.includes('retryable') && !state.includes('discarded')
        ? { result: { data: { roomDeletions: [], pagination: { nextCursor: null } } } }
        : result;
    });
    await route.fulfill({ response, json });
  });
  await stopEverything(page, 2);
  await page.getByText('2 rooms may still exist').waitFor();
  server.livekit.emulator.setFault('DeleteRoom', { kind: 'hang' });
  const retry = page.getByRole('button', { name: 'Try again now' });
  await retry.first().click();
  await page.getByText('1 room may still exist').waitFor();
  await retry.first().click();
  await page.getByText('hangup deletes 2 rooms that had been given up.').waitFor();
  expect(await server.livekit.roomNames()).toHaveLength(2);
  await page.unrouteAll({ behavior: 'wait' });
});

test('a hold refuses new calls until somebody lifts it', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/stop');
  await previewEverything(page);
  await page.getByText('No calls match now').waitFor();
  await reason(page).fill('maintenance');
  await number(page).fill('0');
  await stopCalls(page).click();
  await page.getByRole('alert').getByText('no calls match').waitFor();
  await page.getByLabel('Hold new calls').check();
  await stopCalls(page).click();
  await page.getByText('The hold is on').waitFor();
  await expect(startCalls(server, 1)).rejects.toThrow('409');
  await page.getByRole('button', { name: 'Lift the hold' }).click();
  await page.getByText('The hold is off').waitFor();
  await expect
    .poll(() => page.evaluate('document.activeElement.textContent'))
    .toBe('The hold is off: new calls can start.');
  await startCalls(server, 1);
});

test('a long id of an agent leaves the button of the stop on the screen of a phone', async () => {
  const server = await startConsole();
  const agentId = 'a'.repeat(128);
  await startCalls(server, 1, { agentId });
  const width = 375;
  const { page } = await openSignedIn(server, '/console/stop', { viewport: { width, height: 700 } });
  const rightOf = (locator: Locator) =>
    locator.evaluate((element) => Math.round(element.getBoundingClientRect().left + element.scrollWidth));
  await what(page).selectOption(agentId);
  await preview(page).click();
  await page.getByText('1 call matches').waitFor();
  expect(await rightOf(stopCalls(page))).toBeLessThan(width);
  await reason(page).fill('wrong prompt');
  await number(page).fill('1');
  await stopCalls(page).click();
  await page.getByText('No room is left').waitFor();
  expect(await rightOf(page.getByRole('heading', { level: 1 }))).toBeLessThan(width);
});

test('a link with a filter selects it, and a link that a stop cannot have selects nothing', async () => {
  const server = await startConsole();
  await startCalls(server, 2);
  await startCalls(server, 1, { agentId: 'sales', prefix: 'other' });
  const { page } = await openSignedIn(
    server,
    '/console/stop?agentId=receptionist&status=ringing&status=active',
  );
  const chosen = what(page).locator('option:checked');
  await expect.poll(() => chosen.textContent()).toBe('Filter: agent receptionist, ringing or active');
  await preview(page).click();
  await page.getByText('2 calls match').waitFor();
  await page.getByRole('button', { name: 'Change the filter' }).click();
  await page.getByLabel('Phone number').fill('+15551000001');
  await preview(page).click();
  await page.getByText('1 call matches').waitFor();
  await page.goto(`${server.url}/console/stop?agentId=sales`);
  await expect.poll(() => what(page).inputValue()).toBe('sales');
  await page.goto(`${server.url}/console/stop?agentId=sales&status=completed`);
  await page.getByRole('alert').getByText('status').waitFor();
  expect(await what(page).inputValue()).toBe('');
});

test('a key without calls:stop is not offered a stop, and a key with only calls:stop can stop', async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  const { key: reader } = await server.createKey(['calls:read']);
  const { page } = await openSignedIn({ ...server, key: reader }, '/console/stop');
  await page.getByText('This key lacks the scope calls:stop.').waitFor();
  expect(await stopCalls(page).count()).toBe(0);
  const { key: canceller } = await server.createKey(['calls:cancel']);
  const { page: third } = await openSignedIn({ ...server, key: canceller }, '/console/stop');
  await third.getByText('This key lacks the scope calls:stop.').waitFor();
  // The page Calls needs calls:read.
  expect(await third.getByRole('link', { name: 'Go to Calls' }).count()).toBe(0);
  const { key: stopper } = await server.createKey(['calls:stop']);
  const { page: second } = await openSignedIn({ ...server, key: stopper }, '/console/stop');
  await second.getByText('lacks the scope calls:read').waitFor();
  await previewEverything(second);
  await second.getByText('1 call matches').waitFor();
  await reason(second).fill('test');
  await number(second).fill('1');
  await stopCalls(second).click();
  await second.getByText('1 call is cancelled. No room is left.').waitFor();
});

test("a stop of another organization, and its calls, are not on an operator's page", async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  await server.send('POST', '/cancellations', { all: true, reason: 'secret' });
  const list = await server.send('GET', '/cancellations');
  const id = z.object({ cancellations: z.array(z.object({ id: z.string() })) }).parse(list)
    .cancellations[0]?.id;
  const { key } = await server.createKey(['calls:read', 'calls:stop'], 'other');
  const { page } = await openSignedIn({ ...server, key }, `/console/stop/${id}`);
  await page.getByRole('heading', { name: 'Stop not found' }).waitFor();
  await page.getByRole('link', { name: 'All stops' }).click();
  await page.getByText('No earlier stops').waitFor();
  expect(await page.getByText('secret').count()).toBe(0);
});
