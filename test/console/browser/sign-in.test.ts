import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import {
  openConsole,
  openSignedIn,
  PAGES,
  signIn,
  startCalls,
  startConsole,
  useBrowser,
  waitForPage,
} from './harness.ts';

useBrowser();

const UNKNOWN_KEY = `hangup_live_${'x'.repeat(43)}`;

/** Everything that a script of the page can read, and that outlives the page. */
const readStored = (page: Page) =>
  page.evaluate<string>(`(async () => JSON.stringify([
    { ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.referrer, history.state,
    await indexedDB.databases(), await caches.keys(),
  ]))()`);

test('a key signs in by the form, and is kept in a cookie only that no script can read', async () => {
  const server = await startConsole();
  const { page, requests, problems } = await openSignedIn(server);
  await waitForPage(page, 'Calls');
  expect(await readStored(page)).not.toContain('hangup_live_');
  expect(await page.evaluate('document.cookie')).toBe('');
  const cookies = await page.context().cookies();
  expect(cookies).toHaveLength(1);
  expect(cookies[0]).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/console' });
  expect(cookies[0]?.value).not.toContain(server.key);
  expect(requests.filter((url) => url.includes('hangup_live_'))).toEqual([]);
  expect(problems).toEqual([]);
});

test('the form keeps a wrong key, and shows the reason', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url);
  const field = page.getByLabel('API key');
  await field.fill(UNKNOWN_KEY);
  await field.press('Enter');
  await page.getByRole('alert').getByText('hangup does not accept this key').waitFor();
  expect(await field.inputValue()).toBe(UNKNOWN_KEY);
  expect(await field.getAttribute('aria-invalid')).toBe('true');
  await signIn(page, server.key);
});

test('without a server the form keeps the key, and works when hangup is back', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url);
  await page.getByLabel('API key').waitFor();
  await server.kill();
  await page.getByLabel('API key').fill(server.key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('hangup does not respond').waitFor();
  expect(await page.getByLabel('API key').inputValue()).toBe(server.key);
  await server.restart();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await waitForPage(page, 'Calls');
});

test('a link signs in, and its key leaves the address and the history', async () => {
  const server = await startConsole();
  const { page, requests, problems } = await openConsole(server.url, `/console#key=${server.key}`);
  await waitForPage(page, 'Calls');
  expect(page.url()).toBe(`${server.url}/console/calls`);
  expect(await readStored(page)).not.toContain('hangup_live_');
  expect(requests.filter((url) => url.includes('hangup_live_'))).toEqual([]);
  // The first entry is the empty page of a new tab.
  const session = await page.context().newCDPSession(page);
  const { entries } = await session.send('Page.getNavigationHistory');
  expect(entries.length).toBeGreaterThan(0);
  expect(JSON.stringify(entries.map(({ url }) => url))).not.toContain('hangup_live_');
  await page.reload();
  await waitForPage(page, 'Calls');
  expect(problems).toEqual([]);
});

test('a link with an unknown key leads to the form', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url, `/console#key=${UNKNOWN_KEY}`);
  await page.getByRole('alert').getByText('The key in the link is no longer valid').waitFor();
  expect(page.url()).not.toContain('hangup_live_');
  await signIn(page, server.key);
});

test('a link in the tab of an open page signs in', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url, '/console/calls');
  await page.getByLabel('API key').waitFor();
  await page.evaluate(`location.hash = 'key=${server.key}'`);
  await waitForPage(page, 'Calls');
  expect(page.url()).not.toContain('hangup_live_');
});

test('each page leads to the form, and back to the same address', async () => {
  const server = await startConsole();
  for (const [path, name] of Object.entries(PAGES)) {
    const { page } = await openSignedIn(server, `${path}?a=b`);
    await waitForPage(page, name);
    expect(page.url()).toBe(`${server.url}${path}?a=b`);
  }
  const { page } = await openSignedIn(server, '/console/sign-in');
  await waitForPage(page, 'Calls');
});

test('a sign-out ends the session', async () => {
  const server = await startConsole();
  const { page, problems } = await openSignedIn(server, '/console/keys');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('API key').waitFor();
  expect(await page.context().cookies()).toEqual([]);
  await page.reload();
  await page.getByLabel('API key').waitFor();
  expect(problems).toEqual([]);
});

test('without a server a sign-out fails visibly, and the reader stays signed in', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server);
  await server.kill();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('alert').getByText('You are still signed in').waitFor();
  await server.restart();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('API key').waitFor();
});

test('a revoked key ends the open page by itself, and nothing of the page stays visible', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['calls:read', 'admin']);
  const { page } = await openSignedIn({ ...server, key }, '/console/keys');
  await page.getByText(id).waitFor();
  await server.run('keys', 'revoke', id);
  // Without a click: hangup ends the event stream.
  await page.getByText('The session has ended').waitFor();
  await page.getByText(id).waitFor({ state: 'hidden' });
  for (let press = 0; press < 3; press++) await page.keyboard.press('Escape');
  expect(await page.getByRole('navigation').isVisible()).toBe(false);
  await signIn(page, server.key);
  await waitForPage(page, 'Keys');
  expect(page.url()).toBe(`${server.url}/console/keys`);
});

test('a session that ends during a form keeps what was typed', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['admin']);
  const { page } = await openSignedIn({ ...server, key }, '/console/keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog', { name: 'Create key' });
  await dialog.getByLabel('Name').fill('billing');
  await dialog.getByRole('checkbox', { name: 'calls:stop' }).check();
  await server.run('keys', 'revoke', id);
  await dialog.getByRole('button', { name: 'Create key' }).click();
  // The dialog hides the navigation.
  await page.getByLabel('API key').fill(server.key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await dialog.waitFor();
  expect(await dialog.getByLabel('Name').inputValue()).toBe('billing');
  expect(await dialog.getByRole('checkbox', { name: 'calls:stop' }).isChecked()).toBe(true);
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await page.getByRole('textbox', { name: 'New API key' }).waitFor();
});

test('a key of another organization gets nothing of the ended session', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['admin']);
  const other = await server.createKey(['admin'], 'other');
  const { page } = await openSignedIn({ ...server, key }, '/console/keys');
  await page.getByText(id).waitFor();
  await server.run('keys', 'revoke', id);
  await page.getByRole('button', { name: 'Create key' }).click();
  await page.getByRole('dialog').getByLabel('Name').fill('billing');
  await page.getByRole('dialog').getByRole('button', { name: 'Create key' }).click();
  await signIn(page, other.key);
  await page.getByText(other.id).waitFor();
  expect(await page.getByText(id).count()).toBe(0);
  expect(await page.getByRole('dialog').count()).toBe(0);
});

test('a link of another organization in the tab of an open page shows nothing of the first one', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['admin']);
  const other = await server.createKey(['admin'], 'other');
  const { page } = await openSignedIn({ ...server, key }, '/console/keys');
  await page.getByText(id).waitFor();
  await page.evaluate(`location.hash = 'key=${other.key}'`);
  await page.getByText(other.id).waitFor();
  expect(await page.getByText(id).count()).toBe(0);
});

test('after a sign-in in another tab, no tab acts for the organization of the first key', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['admin']);
  const other = await server.createKey(['admin'], 'other');
  const { page } = await openSignedIn({ ...server, key }, '/console/keys');
  await page.getByText(id).waitFor();
  const tab = await page.context().newPage();
  await tab.goto(`${server.url}/console/keys#key=${other.key}`);
  await tab.getByText(other.id).waitFor();
  await page.getByText(other.id).waitFor();
  expect(await page.getByText(id).count()).toBe(0);
  await tab.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('The session has ended').waitFor();
});

test('without the notice of a sign-in in another tab, no stop runs for the other organization', async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  const { key } = await server.createKey(['calls:read', 'calls:write', 'calls:stop'], 'other');
  const headers = { 'x-api-key': key, 'content-type': 'application/json' };
  const calls = `${server.url}/api/v1/calls`;
  expect((await fetch(calls, { method: 'POST', headers, body: '{"id":"theirs"}' })).status).toBe(201);
  const { page } = await openSignedIn(server, '/console/stop');
  await page.getByRole('combobox', { name: 'What to stop' }).selectOption('Everything');
  await page.getByRole('button', { name: 'Preview' }).click();
  await page.getByText('1 call matches').waitFor();
  await page.getByLabel('Reason').fill('wrong advice');
  await page.getByLabel('Type the number to confirm').fill('1');
  const tab = await page.context().newPage();
  await tab.addInitScript('BroadcastChannel.prototype.postMessage = () => {}');
  await tab.goto(`${server.url}/console/calls#key=${key}`);
  await tab.getByText('theirs').first().waitFor();
  await page.getByRole('button', { name: 'Stop calls' }).click();
  // The refusal makes the page load the session.
  await page.getByTitle('other').last().waitFor();
  for (const own of [server.key, key]) {
    const answer = await fetch(`${server.url}/api/v1/cancellations`, { headers: { 'x-api-key': own } });
    expect(await answer.json()).toMatchObject({ data: { cancellations: [] } });
  }
});

test('after a sign-in in another tab by a key of the same organization, the keys show the new session', async () => {
  const server = await startConsole();
  const other = await server.createKey(['calls:read', 'admin']);
  const { page } = await openSignedIn(server, '/console/keys');
  const own = page.getByRole('listitem').filter({ hasText: 'This session' });
  await own.waitFor();
  const tab = await page.context().newPage();
  await tab.goto(`${server.url}/console/keys#key=${other.key}`);
  await own.filter({ hasText: other.id }).waitFor();
  expect(await own.count()).toBe(1);
});
