import { AxeBuilder } from '@axe-core/playwright';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import {
  openConsole,
  openSignedIn,
  PAGES,
  startCalls,
  startConsole,
  useBrowser,
  waitForPage,
} from './harness.ts';

/* axe on every page, in both color schemes, on a desktop and a phone. */

useBrowser();

const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const VARIANTS: readonly { readonly name: string; readonly options: BrowserContextOptions }[] = [
  { name: 'light', options: { ...DESKTOP, colorScheme: 'light' } },
  { name: 'dark', options: { ...DESKTOP, colorScheme: 'dark' } },
  { name: 'light, on a phone', options: { ...PHONE, colorScheme: 'light' } },
  { name: 'dark, on a phone', options: { ...PHONE, colorScheme: 'dark' } },
];

/** Returns what axe finds, with the elements. */
async function findProblems(page: Page): Promise<string[]> {
  // Colors between two states have another contrast.
  await page.evaluate(
    'Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})))',
  );
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary = '' }) => `${id}: ${html} ${failureSummary}`),
  );
}

test.for(VARIANTS)('axe finds nothing: $name', async ({ options }) => {
  const server = await startConsole();
  const [id] = await startCalls(server, 3);
  await server.createKey(['calls:read']);
  await server.run('adoption', 'add', '--org', 'acme', '--prefix', 'support-');

  const { page: signInPage } = await openConsole(server.url, '/console/', options);
  await signInPage.getByLabel('API key').fill('wrong');
  await signInPage.getByRole('button', { name: 'Sign in' }).click();
  await signInPage.getByRole('alert').waitFor();
  expect(await findProblems(signInPage), 'sign-in').toEqual([]);

  const { page } = await openSignedIn(server, '/console/calls', options);
  for (const [path, name] of Object.entries(PAGES)) {
    await page.goto(`${server.url}${path}`);
    await waitForPage(page, name);
    await page.waitForTimeout(500);
    expect(await findProblems(page), name).toEqual([]);
  }
  await page.goto(`${server.url}/console/calls/${id}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.waitForTimeout(500);
  expect(await findProblems(page), 'a call').toEqual([]);
});

test.for(VARIANTS)('axe finds nothing in dialogs: $name', async ({ options }) => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['calls:read', 'admin']);
  const { page } = await openSignedIn({ ...server, key }, '/console/keys', options);
  await page.getByRole('button', { name: 'Help' }).click();
  await page.getByRole('dialog', { name: 'Help' }).waitFor();
  expect(await findProblems(page), 'help').toEqual([]);
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Create key' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Expires').selectOption('date');
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await dialog.getByRole('alert').first().waitFor();
  expect(await findProblems(page), 'create key').toEqual([]);
  await dialog.getByLabel('Name').fill('billing');
  await dialog.getByLabel('Expires').selectOption('30');
  await dialog.getByRole('button', { name: 'Create key' }).click();
  await dialog.getByRole('textbox', { name: 'New API key' }).waitFor();
  expect(await findProblems(page), 'created key').toEqual([]);
  await dialog.getByRole('button', { name: 'Done' }).click();

  await page.getByRole('button', { name: 'Revoke billing' }).click();
  await dialog.waitFor();
  expect(await findProblems(page), 'revoke key').toEqual([]);
  await page.keyboard.press('Escape');

  await server.run('keys', 'revoke', id);
  await page.getByText('The session has ended').waitFor();
  expect(await findProblems(page), 'ended session').toEqual([]);
});
