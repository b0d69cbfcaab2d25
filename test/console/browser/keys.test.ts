import { expect, test } from 'vitest';
import {
  type ConsoleServer,
  holdResponses,
  INSECURE_HOST,
  openSignedIn,
  startConsole,
  useBrowser,
  waitForPage,
} from './harness.ts';

useBrowser();

/** Returns the status of a request with a key. */
async function statusOf({ url }: ConsoleServer, key: string): Promise<number> {
  const { status } = await fetch(`${url}/api/v1/calls`, { headers: { 'x-api-key': key } });
  return status;
}

test.for(['127.0.0.1', INSECURE_HOST])(
  'a key is created, shown once and copied on http://%s',
  async (host) => {
    const server = await startConsole();
    const url = server.url.replace('127.0.0.1', host);
    const { page, problems } = await openSignedIn({ ...server, url }, '/console/keys');
    expect(await page.evaluate('isSecureContext')).toBe(host === '127.0.0.1');
    await page.getByRole('button', { name: 'Create key' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Name').fill('billing');
    for (const scope of ['calls:write', 'calls:cancel'])
      await dialog.getByRole('checkbox', { name: scope }).uncheck();
    await dialog.getByLabel('Expires').selectOption({ label: 'After 30 days' });
    await dialog.getByRole('button', { name: 'Create key' }).click();

    const field = dialog.getByRole('textbox', { name: 'New API key' });
    const key = await field.inputValue();
    expect(key).toMatch(/^hangup_live_[\w-]{43}$/);
    await dialog.getByText('cannot show the key again').waitFor();
    expect(await page.evaluate('document.activeElement.value')).toBe(key);
    await page.keyboard.press('Escape');
    await dialog.getByRole('button', { name: 'Copy' }).click();
    await dialog.getByText('Copied.').waitFor();
    await dialog.getByRole('button', { name: 'Done' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Create key');
    expect(await page.content()).not.toContain(key);

    const prefix = page.getByLabel('Prefix of room names');
    await prefix.focus();
    await page.keyboard.press('Control+v');
    expect(await prefix.inputValue()).toBe(key);

    const row = page.getByRole('listitem').filter({ hasText: 'billing' });
    expect(await row.getByRole('list', { name: 'Scopes' }).textContent()).toBe('calls:read');
    expect(await row.textContent()).toMatch(/Last used\s*Never/);
    expect(await statusOf(server, key)).toBe(200);
    const answer = await fetch(`${server.url}/api/v1/api-keys/current`, { headers: { 'x-api-key': key } });
    const { data } = (await answer.json()) as { data: { expiresAt: string } };
    const days = (Date.parse(data.expiresAt) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThanOrEqual(30);
    expect(problems).toEqual([]);
  },
);

test('an incomplete form names what is missing, and creates nothing', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog');
  const submit = dialog.getByRole('button', { name: 'Create key' });
  await submit.click();
  await dialog.getByText('Enter a name.').waitFor();
  await dialog.getByLabel('Name').fill('billing');
  for (const scope of ['calls:read', 'calls:write', 'calls:cancel'])
    await dialog.getByRole('checkbox', { name: scope }).uncheck();
  await submit.click();
  await dialog.getByText('Choose at least one scope.').waitFor();
  await dialog.getByRole('checkbox', { name: 'admin' }).check();
  await dialog.getByLabel('Expires').selectOption('date');
  await dialog.getByLabel('Time of the expiry').fill('2020-01-01T00:00');
  await submit.click();
  await dialog.getByText('Enter a time in the future.').waitFor();
  expect(await server.send('GET', '/api-keys')).toMatchObject({ apiKeys: [{ name: 'test' }] });
});

test('without a server the form keeps what was typed', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('billing');
  await server.kill();
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await dialog.getByText('hangup does not respond').waitFor();
  await server.restart();
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await dialog.getByRole('textbox', { name: 'New API key' }).waitFor();
});

test('two clicks at once create one key', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('billing');
  const submit = dialog.getByRole('button', { name: 'Create key' });
  await submit.evaluate((button: { click(): void }) => {
    button.click();
    button.click();
  });
  await dialog.getByRole('textbox', { name: 'New API key' }).waitFor();
  expect(await server.send('GET', '/api-keys')).toMatchObject({
    apiKeys: [{ name: 'billing' }, { name: 'test' }],
  });
});

test('a late response of a revocation does not close the dialog of another key', async () => {
  const server = await startConsole();
  const first = await server.createKey(['calls:read']);
  const second = await server.createKey(['calls:read']);
  const { page } = await openSignedIn(server, '/console/keys');
  const revoke = ({ id }: { id: string }) =>
    page.getByRole('listitem').filter({ hasText: id }).getByRole('button', { name: 'Revoke' });
  const dialog = page.getByRole('dialog');
  const release = await holdResponses(page, /apiKeys\.revoke/);
  await revoke(first).click();
  await dialog.getByRole('button', { name: 'Revoke key' }).click();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await revoke(second).click();
  release();
  // The page has handled the response.
  await page.getByText('Show 1 revoked or expired').waitFor();
  await dialog.getByRole('button', { name: 'Revoke key' }).click();
  await page.getByText('Show 2 revoked or expired').waitFor();
});

test('a key is revoked after a confirmation', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['calls:read']);
  const { page, problems } = await openSignedIn(server, '/console/keys');
  const row = page.getByRole('listitem').filter({ hasText: id });
  await row.getByRole('button', { name: 'Revoke' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  expect(await statusOf(server, key)).toBe(200);
  await row.getByRole('button', { name: 'Revoke' }).click();
  await dialog.getByRole('button', { name: 'Revoke key' }).click();
  await row.waitFor({ state: 'detached' });
  await dialog.waitFor({ state: 'detached' });
  // The button that opened the dialog is gone.
  expect(await page.evaluate('document.activeElement.tagName')).toBe('H1');
  expect(await statusOf(server, key)).toBe(401);
  await page.getByRole('checkbox', { name: 'Show 1 revoked or expired' }).check();
  await row.getByText('Revoked').first().waitFor();
  expect(await row.getByRole('button').count()).toBe(0);
  expect(problems).toEqual([]);
});

test('the key of the session has its own confirmation, and signs out', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['admin']);
  const { page, problems } = await openSignedIn({ ...server, key }, '/console/keys');
  const row = page.getByRole('listitem').filter({ hasText: id });
  await row.getByText('This session').waitFor();
  await row.getByRole('button', { name: 'Revoke' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('You are signed in with this key').waitFor();
  await dialog.getByRole('button', { name: 'Revoke key and sign out' }).click();
  await page.getByLabel('API key').waitFor();
  expect(await page.context().cookies()).toEqual([]);
  expect(await statusOf(server, key)).toBe(401);
  expect(problems).toEqual([]);
});

test('adoption prefixes are added, refused and removed', async () => {
  const server = await startConsole();
  await server.createKey(['calls:read'], 'other');
  await server.run('adoption', 'add', '--org', 'other', '--prefix', 'taken-');
  const { page, problems } = await openSignedIn(server, '/console/keys');
  await page.getByText('No prefixes').waitFor();
  const field = page.getByLabel('Prefix of room names');
  const add = page.getByRole('button', { name: 'Add prefix' });
  await add.click();
  await page.getByText('Enter a prefix.').waitFor();
  await field.fill('taken-');
  await add.click();
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).not.toContain('other');
  expect(await field.inputValue()).toBe('taken-');
  await field.fill('support/ü?-');
  await field.press('Enter');
  const row = page.getByRole('listitem').filter({ hasText: 'support/ü?-' });
  await row.waitFor();
  expect(await field.inputValue()).toBe('');
  expect(await server.run('adoption', 'list')).toContain('support/ü?-');
  await row.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove prefix' }).click();
  await row.waitFor({ state: 'detached' });
  expect(await server.run('adoption', 'list')).not.toContain('support/ü?-');
  expect(problems).toEqual([]);
});

test('without the scope admin the page names the scope, and the command that creates such a key', async () => {
  const server = await startConsole();
  const { key } = await server.createKey(['calls:read']);
  const { page, problems } = await openSignedIn({ ...server, key }, '/console/keys');
  await waitForPage(page, 'Keys');
  await page.getByText('This key lacks the scope admin.').waitFor();
  await page.getByText('hangup keys create --org acme').waitFor();
  expect(await page.getByRole('button', { name: 'Create key' }).count()).toBe(0);
  expect(problems).toEqual([]);
});
