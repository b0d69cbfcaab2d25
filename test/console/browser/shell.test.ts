import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { startFaultServer } from '../../harness/fault-server.ts';
import {
  openConsole,
  openSignedIn,
  PAGES,
  setVisibility,
  signIn,
  startCalls,
  startConsole,
  useBrowser,
  waitForPage,
} from './harness.ts';

useBrowser();

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const focused = (page: Page) => page.evaluate<string>('document.activeElement.id');

test('g and a letter opens each page, and / the search from every page', async () => {
  const server = await startConsole();
  const { page, problems } = await openSignedIn(server, '/console/keys');
  await waitForPage(page, 'Keys');
  for (const [letter, name] of ['cCalls', 'sStop', 'hHealth', 'kKeys'].map((text) => [
    text[0] ?? '',
    text.slice(1),
  ])) {
    await page.keyboard.press('g');
    await page.keyboard.press(letter ?? '');
    await waitForPage(page, name ?? '');
    await page.keyboard.press('/');
    await waitForPage(page, 'Calls');
    await expect.poll(() => focused(page)).toBe('search');
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    expect(await page.locator('#search').inputValue()).toBe('gs');
    await page.locator('#search').fill('');
    await page.locator('#search').blur();
  }
  expect(problems).toEqual([]);
});

test('shortcuts do nothing with a modifier, in a dialog, or when they are off', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await waitForPage(page, 'Keys');
  const dialog = page.getByRole('dialog', { name: 'Help' });
  for (const keys of ['Control+/', 'Alt+/', 'Meta+/']) await page.keyboard.press(keys);
  await page.keyboard.press('?');
  await dialog.waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await waitForPage(page, 'Keys');

  await page.getByRole('button', { name: 'Help' }).click();
  await dialog.getByRole('checkbox').uncheck();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await page.reload();
  await waitForPage(page, 'Keys');
  for (const key of ['?', '/', 'g', 's']) await page.keyboard.press(key);
  await waitForPage(page, 'Keys');
  expect(await dialog.count()).toBe(0);
});

test('the help has each shortcut and each status, and gives the focus back', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await page.getByRole('button', { name: 'Help' }).focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Help' });
  const text = (await dialog.textContent()) ?? '';
  for (const name of Object.values(PAGES)) expect(text).toContain(`Go to ${name}`);
  for (const status of ['Initiated', 'Ringing', 'Active', 'Completed', 'Failed', 'Cancelled', 'No answer'])
    expect(text).toContain(status);
  for (const state of ['Waiting', 'Deleting', 'Retrying', 'Deleted', 'Given up'])
    expect(text).toContain(state);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Help');
});

test('the first Tab offers a link to the content', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await page.reload();
  await page.getByRole('navigation').waitFor();
  await page.evaluate('document.activeElement.blur()');
  await page.keyboard.press('Tab');
  const link = page.getByRole('link', { name: 'Skip to the content' });
  expect(await link.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true);
  const box = await link.boundingBox();
  expect(box?.width).toBeGreaterThan(50);
  await page.keyboard.press('Enter');
  expect(await focused(page)).toBe('content');
});

/** Returns the controls that show no focus when the reader reaches them with Tab. */
async function findInvisibleFocus(page: Page, presses: number): Promise<string[]> {
  const found: string[] = [];
  for (let press = 0; press < presses; press++) {
    await page.keyboard.press('Tab');
    const problem = await page.evaluate<string | null>(`(() => {
      const element = document.activeElement;
      if (element === document.body) return null;
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
      const isShown = (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2) || boxShadow !== 'none';
      return isShown ? null : element.outerHTML.slice(0, 120);
    })()`);
    if (problem !== null) found.push(problem);
  }
  return found;
}

test('the focus is visible on each control of each page', async () => {
  const server = await startConsole();
  await startCalls(server, 3);
  const { page } = await openSignedIn(server);
  for (const [path, name] of Object.entries(PAGES)) {
    await page.goto(`${server.url}${path}`);
    await waitForPage(page, name);
    expect(await findInvisibleFocus(page, 25), name).toEqual([]);
  }
});

test('a killed server shows a banner, and a started one updates the page', async () => {
  const server = await startConsole();
  await startCalls(server, 1);
  const { page, problems } = await openSignedIn(server);
  await page.getByText('call-1').first().waitFor();
  await server.kill();
  await page.getByText('Connection lost').waitFor();
  await page.getByText('call-1').first().waitFor();
  await server.restart();
  await page.getByText('Connected again').waitFor();
  await startCalls(server, 1, { prefix: 'later' });
  await page.getByText('later-1').first().waitFor();
  await page.getByText('Connected again').waitFor({ state: 'hidden' });
  expect(problems).toEqual([]);
});

test('a page that is open while the server is away follows when it is back', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await waitForPage(page, 'Keys');
  await server.kill();
  await page.getByText('Connection lost').waitFor();
  await page.getByRole('link', { name: 'Calls' }).click();
  await waitForPage(page, 'Calls');
  await server.restart();
  await startCalls(server, 1);
  await page.getByText('call-1').first().waitFor();
});

test('a tab that is hidden for a moment opens one further stream, and reports no lost connection', async () => {
  const server = await startConsole();
  const { page, requests } = await openSignedIn(server, '/console/calls');
  await page.getByText('No live calls').waitFor();
  await page.evaluate(`
    window.shown = [];
    const status = document.querySelector('main [role=status]');
    new MutationObserver(() => window.shown.push(status.textContent)).observe(status, { childList: true });
  `);
  const streams = () => requests.filter((url) => url.includes('events.stream')).length;
  await expect.poll(streams).toBe(1);
  await setVisibility(page, 'hidden');
  await setVisibility(page, 'visible');
  await startCalls(server, 1);
  await page.getByText('call-1').first().waitFor();
  // Later than another attempt would begin.
  await page.waitForTimeout(3_000);
  expect(streams()).toBe(2);
  expect(await page.evaluate('window.shown')).toEqual([]);
});

test('a sign-in by a key without the event stream ends the banner of a lost connection', async () => {
  const server = await startConsole();
  const { key, id } = await server.createKey(['calls:read']);
  const stopper = await server.createKey(['calls:stop']);
  const { page } = await openSignedIn({ ...server, key }, '/console/stop');
  await server.kill();
  await page.getByText('Connection lost').waitFor();
  await server.run('keys', 'revoke', id);
  await server.restart();
  await page.getByText('The session has ended').waitFor();
  await signIn(page, stopper.key);
  await page.getByText('lacks the scope calls:read').waitFor();
  await page.getByText('Connection lost').waitFor({ state: 'hidden' });
});

test('an error status of a proxy does not end the event stream for ever', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url);
  let isBroken = true;
  await page.route('**/console/trpc/events.stream*', (route) =>
    isBroken ? route.fulfill({ status: 502, body: 'Bad gateway' }) : route.continue(),
  );
  await page.getByLabel('API key').fill(server.key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Connection lost').waitFor();
  isBroken = false;
  await page.getByText('Connected again').waitFor();
});

test('an event stream that a rate limit refuses shows the time of the next attempt', async () => {
  const server = await startConsole({ RATE_LIMIT_CALLS: '1' });
  await server.send('GET', '/calls');
  const { page, problems } = await openSignedIn(server, '/console/keys');
  await page.getByText(/^Too many requests\. .* tries again at \d+:\d\d:\d\d/).waitFor();
  expect(await page.getByText('Connection lost').count()).toBe(0);
  expect(problems).toEqual([]);
});

test('the page is connected again after the time of a rate limit', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url);
  // A window of a real limit lasts for a minute.
  const error = {
    code: -32_029,
    message: 'Too many requests with this API key: retry after 1 s',
    data: { httpStatus: 429 },
  };
  const refusing = await startFaultServer((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('event: connected\ndata: {}\n\n');
    // In a packet of its own, so that the page is connected meanwhile.
    setTimeout(() => response.end(`event: serialized-error\ndata: ${JSON.stringify(error)}\n\n`), 100);
  });
  let refusals = 0;
  await page.route('**/console/trpc/events.stream*', (route) => {
    refusals += 1;
    return refusals > 2 ? route.continue() : route.continue({ url: refusing.url });
  });
  await signIn(page, server.key);
  await page.getByText('Too many requests.').waitFor();
  await page.evaluate(`
    window.shown = [];
    const status = document.querySelector('main [role=status]');
    new MutationObserver(() => window.shown.push(status.textContent)).observe(status, {
      childList: true, characterData: true, subtree: true,
    });
  `);
  await page.getByText('Connected again').waitFor();
  expect(refusals).toBe(3);
  const shown = await page.evaluate<string[]>('window.shown');
  expect(shown.filter((text) => !text.startsWith('Too many requests.'))).toEqual([
    'Connected again. The page is up to date.',
  ]);
});

test('a part of the page that does not load offers a reload', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/keys');
  await page.route('**/assets/health-page-*.js', (route) => route.fulfill({ status: 404 }));
  await page.reload();
  await page.getByRole('link', { name: 'Health' }).click();
  const alert = page.getByRole('alert');
  await alert.getByText('A part of the page did not load').waitFor();
  await page.unroute('**/assets/health-page-*.js');
  await alert.getByRole('button', { name: 'Reload the page' }).click();
  await waitForPage(page, 'Health');
});

test('an error of one page leaves the navigation usable', async () => {
  const server = await startConsole();
  const { page } = await openConsole(server.url, '/console/keys');
  await page.route('**/console/trpc/**apiKeys.list**', (route) =>
    route.fulfill({ json: Array(4).fill({ result: { data: { apiKeys: [null] } } }) }),
  );
  await page.getByLabel('API key').fill(server.key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('This page has failed').waitFor();
  await page.getByRole('link', { name: 'Stop' }).click();
  await waitForPage(page, 'Stop');
});

test('an unknown address has a link to the calls', async () => {
  const server = await startConsole();
  const { page } = await openSignedIn(server, '/console/nothing');
  await waitForPage(page, 'This page does not exist.');
  await page.getByRole('link', { name: 'Go to Calls' }).click();
  await waitForPage(page, 'Calls');
});

test('no page sends a request to another host, or violates its policy', async () => {
  const server = await startConsole();
  const [id] = await startCalls(server, 3);
  const { page, requests, problems } = await openSignedIn(server);
  for (const [path, name] of Object.entries(PAGES)) {
    await page.goto(`${server.url}${path}`);
    await waitForPage(page, name);
    await page.waitForLoadState('load');
  }
  await page.goto(`${server.url}/console/calls/${id}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  expect(requests.length).toBeGreaterThan(20);
  const origins = new Set(requests.map((url) => new URL(url).origin));
  expect(origins).toEqual(new Set([server.url]));
  expect(problems).toEqual([]);
});

test('each page has the width of a phone, and the navigation is in reach', async () => {
  const server = await startConsole();
  const [id] = await startCalls(server, 3, { prefix: 'a-call-with-an-identifier-that-is-long' });
  const { page, problems } = await openSignedIn(server, '/console/calls', PHONE);
  const paths = [...Object.keys(PAGES), `/console/calls/${id}`, '/console/nothing'];
  for (const path of paths) {
    await page.goto(`${server.url}${path}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.waitForTimeout(300);
    const width = await page.evaluate<number>('document.documentElement.scrollWidth');
    expect(width, path).toBeLessThanOrEqual(390);
    for (const name of Object.values(PAGES)) {
      const box = await page.getByRole('link', { name, exact: true }).first().boundingBox();
      expect(box?.height, `${path} ${name}`).toBeGreaterThanOrEqual(40);
      expect((box?.y ?? 0) + (box?.height ?? 0), `${path} ${name}`).toBeLessThanOrEqual(844);
    }
  }
  expect(problems).toEqual([]);
});
