import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { type ConsoleServer, openSignedIn, startCalls, startConsole, useBrowser } from './harness.ts';

useBrowser();

const PHONE = { viewport: { width: 390, height: 844 } };

async function cancelDialog(page: Page, reason: string) {
  await page.getByRole('button', { name: 'Cancel call' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reason').fill(reason);
  return dialog;
}

/** Returns the ids of the rules of accessibility that the page breaks. */
async function brokenRules(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page }).include('main').analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

/** Returns the elements whose content does not fit into the width of the window. */
async function isCutOff(page: Page): Promise<boolean> {
  return page.evaluate('document.documentElement.scrollWidth > innerWidth');
}

async function startOneCall(env: Readonly<Record<string, string>> = {}): Promise<ConsoleServer> {
  const server = await startConsole(env);
  await startCalls(server, 1);
  return server;
}

test('a cancel with a reason ends the call, and the page shows the end by itself', async () => {
  const server = await startOneCall();
  const { page, problems } = await openSignedIn(server, '/console/calls/call-1');
  await page.getByText('connected for').first().waitFor();
  expect(await brokenRules(page)).toEqual([]);
  const dialog = await cancelDialog(page, 'wrong number');
  expect(await brokenRules(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Confirm' }).dblclick();
  await page.getByRole('main').getByText('Cancelled', { exact: true }).first().waitFor();
  await page.getByText('wrong number').first().waitFor();
  await page.getByText('Deleted', { exact: true }).waitFor();
  expect(await page.getByRole('button', { name: 'Cancel call' }).count()).toBe(0);
  expect(await page.evaluate('document.activeElement.tagName')).toBe('H1');
  const { events } = (await server.send('GET', '/calls/call-1/events')) as { events: { to: string }[] };
  expect(events.filter(({ to }) => to === 'cancelled').length).toBe(1);
  expect(server.livekit.emulator.roomNames()).toEqual([]);
  expect(problems).toEqual([]);
});

test('an error keeps the typed reason, and the next attempt cancels the call once', async () => {
  const server = await startOneCall();
  const { page } = await openSignedIn(server, '/console/calls/call-1');
  const dialog = await cancelDialog(page, 'the agent is wrong');
  await server.kill();
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByRole('alert').getByText('hangup does not respond').waitFor();
  expect(await dialog.getByLabel('Reason').inputValue()).toBe('the agent is wrong');
  await page.getByText('Connection lost').waitFor();
  await server.restart();
  await page.getByText('Connected again').waitFor();
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await page.getByRole('main').getByText('Cancelled', { exact: true }).first().waitFor();
  expect(await server.send('GET', '/calls/call-1')).toMatchObject({ cancelReason: 'the agent is wrong' });
});

test('a cancel that gets no response is an error, and the next attempt shows that the call is cancelled', async () => {
  const server = await startOneCall();
  const { page } = await openSignedIn(server, '/console/calls/call-1');
  const dialog = await cancelDialog(page, 'no response');
  await page.route('**/console/trpc/calls.cancel*', async (route) => {
    // The response gets lost, and the connection stays open.
    await route.fetch();
  });
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByRole('alert').getByText('hangup does not respond').waitFor();
  await page.unroute('**/console/trpc/calls.cancel*');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.waitFor({ state: 'detached' });
  expect(await server.send('GET', '/calls/call-1')).toMatchObject({ cancelReason: 'no response' });
});

test('a cancel that fails after its dialog has closed is reported on the next page', async () => {
  const server = await startOneCall();
  const { page, problems } = await openSignedIn(server, '/console/calls/call-1');
  const dialog = await cancelDialog(page, 'wrong number');
  const { promise, resolve: fail } = Promise.withResolvers<void>();
  await page.route('**/console/trpc/calls.cancel*', (route) => promise.then(() => route.abort()));
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByRole('button', { name: 'Go back' }).click();
  await page.getByRole('link', { name: 'Health' }).click();
  await page.getByRole('heading', { level: 1, name: 'Health' }).waitFor();
  fail();
  const message = page.getByRole('alert').filter({ hasText: 'The cancel of call' });
  await message.getByText('hangup may have received the request').waitFor();
  await expect.poll(() => brokenRules(page)).toEqual([]);
  await message.getByRole('link', { name: 'Open the page' }).click();
  await page.waitForURL('**/console/calls/call-1');
  await message.waitFor({ state: 'detached' });
  await page.unroute('**/console/trpc/calls.cancel*');
  await cancelDialog(page, 'wrong number');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.waitFor({ state: 'detached' });
  expect(await server.send('GET', '/calls/call-1')).toMatchObject({ status: 'cancelled' });
  expect(problems).toEqual([]);
});

test('the cancel of a call that has ended shows the message of the server', async () => {
  const server = await startOneCall();
  const { page } = await openSignedIn(server, '/console/calls/call-1');
  const dialog = await cancelDialog(page, 'late');
  await server.send('DELETE', '/calls/call-1');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByRole('alert').getByText('Cannot cancel call with status: cancelled').waitFor();
  expect(await dialog.getByLabel('Reason').inputValue()).toBe('late');
});

test('a room that outlives its call has a warning, its error in plain words, and a button that tries again', async () => {
  const server = await startOneCall({ RETRY_INITIAL_DELAY_MS: '100', RETRY_MAX_AGE_MS: '1000' });
  const { emulator } = server.livekit;
  emulator.setFault('DeleteRoom', { kind: 'status503' });
  const { page } = await openSignedIn(server, '/console/calls/call-1');
  const dialog = await cancelDialog(page, 'stop');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  const warning = page.getByRole('alert').filter({ hasText: 'its room is not deleted' });
  await warning.waitFor();
  await page.getByText('Given up', { exact: true }).waitFor();
  await page.getByText('The LiveKit server with the room does not respond.').waitFor();
  expect(await brokenRules(page)).toEqual([]);

  await page.route('**/console/trpc/roomDeletions.retry*', () => {
    // No response: the browser would wait for minutes.
  });
  await warning.getByRole('button', { name: 'Try again now' }).click();
  await warning.getByRole('alert').getByText('hangup does not respond').waitFor();
  await page.unroute('**/console/trpc/roomDeletions.retry*');

  await page.getByRole('link', { name: 'Calls', exact: true }).click();
  await page.getByText('The room of 1 ended call is not deleted').click();
  await page.getByRole('link', { name: 'call-1' }).click();
  emulator.setFault('DeleteRoom', null);
  await warning.getByRole('button', { name: 'Try again now' }).click();
  await page.getByText('Deleted', { exact: true }).waitFor();
  await warning.waitFor({ state: 'detached' });
  expect(emulator.roomNames()).toEqual([]);
});

test('the page follows an end in LiveKit, and explains the disconnect reason', async () => {
  const server = await startConsole();
  await server.send('POST', '/calls', { id: 'call-1' });
  const { emulator } = server.livekit;
  emulator.join('call-1', { identity: 'agent', kind: 'AGENT' });
  const attributes = { 'sip.callStatus': 'ringing' };
  const phone = emulator.join('call-1', { identity: 'phone', kind: 'SIP', attributes });
  const { page } = await openSignedIn(server, '/console/calls/call-1');
  await page.getByText('Ringing', { exact: true }).first().waitFor();
  await page.getByText('connected for').first().waitFor();
  phone.leave('USER_REJECTED');
  await page.getByText('Busy', { exact: true }).first().waitFor();
  await page.getByText('The phone rejected the call, for example because it was busy.').first().waitFor();
  await page.getByText('by LiveKit').first().waitFor();
  await page.getByText('The call has ended.').waitFor();
});

test('without calls:cancel, the page names the missing scope in place of the button', async () => {
  const server = await startOneCall();
  const { key } = await server.createKey(['calls:read']);
  const { page } = await openSignedIn({ url: server.url, key }, '/console/calls/call-1');
  await page.getByText('This key lacks the scope calls:cancel.').waitFor();
  expect(await page.getByRole('button', { name: 'Cancel call' }).count()).toBe(0);
});

test('an unknown call and a call of another organization have a page with a way back', async () => {
  const server = await startOneCall();
  const { key } = await server.createKey(['calls:read'], 'other');
  const { page } = await openSignedIn({ url: server.url, key }, '/console/calls/call-1');
  await page.getByText('This call does not exist').waitFor();
  await page.goto(`${server.url}/console/calls/nothing`);
  await page.getByText('This call does not exist').waitFor();
  expect(await brokenRules(page)).toEqual([]);
  await page.getByRole('link', { name: 'Go to Calls' }).click();
  await page.getByText('No live calls').waitFor();
});

test('the page of a call fits on a phone', async () => {
  const server = await startOneCall();
  const { page } = await openSignedIn(server, '/console/calls/call-1', { ...PHONE, colorScheme: 'dark' });
  await page.getByText('connected for').first().waitFor();
  expect(await isCutOff(page)).toBe(false);
  expect(await brokenRules(page)).toEqual([]);
});

/** Returns the characters of the smallest element that has a text, in the order of their places on the line. */
const readLine = (page: Page, text: string) =>
  page.evaluate<string>(`(() => {
    const elements = [...document.querySelectorAll('main *')];
    const element = elements.findLast(({ textContent }) => textContent.includes(${JSON.stringify(text)}));
    const nodes = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    const found = [];
    for (let node = nodes.nextNode(); node !== null; node = nodes.nextNode()) {
      for (let index = 0; index < node.length; index += 1) {
        range.setStart(node, index);
        range.setEnd(node, index + 1);
        const { left, width } = range.getBoundingClientRect();
        if (width > 0) found.push([left, node.data[index]]);
      }
    }
    return found.sort(([a], [b]) => a - b).map(([, character]) => character).join('');
  })()`);

test('the direction of a name from a client does not reorder the text around it', async () => {
  const server = await startConsole();
  const override = '\u2069\u202eevil';
  await server.send('POST', '/calls', { id: 'call-1', agentId: '12', agentName: override });
  server.livekit.emulator.join('call-1', { identity: '34', name: 'שירה' });
  server.livekit.emulator.join('call-1', { identity: '56', name: override });
  const { page } = await openSignedIn(server, '/console/calls/call-1');
  await page.getByText('(56)').waitFor();
  expect(await readLine(page, '(56)')).toBe('��evil (56)');
  expect(await readLine(page, '(34)')).toBe('הריש (34)');
  expect(await readLine(page, '(12)')).toBe('��evil (12)');
});
