import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { type Hangup, startHangup } from '../harness/hangup.ts';

/* Opens the API reference in Chromium. CHROMIUM is its program; SCREENSHOTS, if set, the folder of the screenshots. */

const { CHROMIUM: executablePath = 'chromium', SCREENSHOTS } = process.env;

let hangup: Hangup;
let browser: Browser;
beforeAll(async () => {
  hangup = await startHangup();
  browser = await chromium.launch({ executablePath, timeout: 60_000 });
});
afterAll(async () => {
  await browser.close();
  await hangup.stop();
});

const Document = z.object({
  paths: z.record(z.string(), z.record(z.string(), z.object({ summary: z.string() }))),
});

/** Returns the summaries of all operations. */
async function readSummaries(): Promise<string[]> {
  const response = await fetch(`${hangup.url}/openapi.json`);
  const { paths } = Document.parse(await response.json());
  return Object.values(paths).flatMap((path) => Object.values(path).map(({ summary }) => summary));
}

interface Reference {
  readonly page: Page;
  /** URLs of all requests, except `blob:` URLs. */
  readonly requests: readonly string[];
  /** Errors of the page, its console and its policy. */
  readonly problems: readonly string[];
}

async function openReference(width = 1440): Promise<Reference> {
  const page = await browser.newPage({ viewport: { width, height: 900 } });
  onTestFinished(() => page.close());
  page.setDefaultTimeout(60_000);
  const requests: string[] = [];
  const problems: string[] = [];
  page.on('request', (request) => {
    if (!request.url().startsWith('blob:')) requests.push(request.url());
  });
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  await page.goto(`${hangup.url}/docs`);
  await page.getByRole('heading', { name: 'Lift the hold of a cancellation' }).waitFor();
  return { page, requests, problems };
}

async function screenshot(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

test('the reference shows every operation, requests nothing from another host, and violates no policy', async () => {
  const { page, requests, problems } = await openReference();
  const headings = await page.getByRole('heading', { level: 2 }).allTextContents();
  expect(headings.map((heading) => heading.trim())).toEqual(expect.arrayContaining(await readSummaries()));
  await screenshot(page, 'reference');
  expect(new Set(requests.map((url) => new URL(url).origin))).toEqual(new Set([hangup.url]));
  expect(requests.length).toBeGreaterThanOrEqual(5);
  expect(problems).toEqual([]);
});

test('every operation shows its code in curl, TypeScript and Python', async () => {
  const { page, problems } = await openReference();
  const tabs = await page.getByRole('tab').allTextContents();
  const count = (name: string) => tabs.filter((tab) => tab === name).length;
  expect(['curl', 'TypeScript', 'Python'].map(count)).toEqual(Array(3).fill((await readSummaries()).length));
  const cancel = page.locator('[data-section-id="operation/cancelCall"]');
  for (const [name, code] of [
    ['TypeScript', 'await hangup.calls.cancel(callId, {'],
    ['Python', 'from hangup import Hangup'],
  ] as const) {
    await cancel.getByRole('tab', { name }).click();
    await cancel.getByText(code).waitFor();
  }
  await cancel.scrollIntoViewIfNeeded();
  await screenshot(page, 'operation');
  expect(problems).toEqual([]);
});

test('the search finds an operation, and a schema expands, within the policy', async () => {
  const { page, requests, problems } = await openReference();
  await page.getByRole('searchbox').or(page.getByPlaceholder('Search...')).fill('hold');
  await page.getByRole('menuitem', { name: 'Lift the hold' }).first().waitFor();
  await screenshot(page, 'search');
  const create = page.locator('[data-section-id="operation/createCancellation"]');
  const field = create.getByText('The earliest');
  expect(await field.count()).toBe(0);
  await create.getByRole('button', { name: 'filter' }).first().click();
  await field.first().waitFor();
  expect(new Set(requests.map((url) => new URL(url).origin))).toEqual(new Set([hangup.url]));
  expect(problems).toEqual([]);
});

test('the reference works in the width of a phone', async () => {
  const { page, problems } = await openReference(390);
  const width = await page.evaluate<number>('document.documentElement.scrollWidth');
  await screenshot(page, 'phone');
  expect(width).toBeLessThanOrEqual(390);
  expect(problems).toEqual([]);
});
