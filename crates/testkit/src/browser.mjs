// What journeys through the page have in common: node journeys.mjs JOURNEY ADDRESS. What fails throws, and ends the program with 1.

import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [, , journey, address] = process.argv;
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const dialogs = [];

// The coordinator.
export const root = address;
// What a page should not have done, or said on its console.
export const wrong = [];

// A page that tells on itself: errors, violations of the policy, dialogs, requests to elsewhere.
export async function open(path = '/', options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  page.on('pageerror', (error) => wrong.push(`error: ${error}`));
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(`console: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    if (dialog.message().includes(dialogs[0] ?? '\0')) {
      dialogs.shift();
      dialog.accept();
      return;
    }
    wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(root) && !request.url().startsWith('data:')) wrong.push(`asked ${request.url()}`);
  });
  await page.goto(root + path);
  await page.waitForSelector('main h1');
  return page;
}

// The next dialog that says this is agreed to.
export const agree = (words) => dialogs.push(words);

// What browsers write on the console of failures that were provoked, by words of it.
export function provoked(words) {
  const others = wrong.splice(0).filter((line) => !line.includes(words));
  wrong.push(...others);
}

// With SCREENSHOTS=FOLDER in the environment, what the page looks like at this point.
let shots = 0;
export async function look(page) {
  shots += 1;
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: `${folder}/${journey}-${shots}.png`, fullPage: true });
}

export async function settled(page) {
  await look(page);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.deepEqual(wrong, []);
  assert.deepEqual(dialogs, []);
}

export const api = async (path) => (await fetch(`${root}/api/v1${path}`)).json();
export const number = (text) => Number(text.replaceAll(',', ''));
export const total = (counts) => Object.values(counts).reduce((sum, more) => sum + more, 0);
export const tile = (page, name) => page.locator(`#tile-${name}`).textContent();

// Waits until a figure of the page is above so much.
export const above = (page, name, least) => page.waitForFunction(([id, most]) =>
  Number(document.getElementById(id).textContent.replaceAll(',', '')) > most, [`tile-${name}`, least]);

export async function travel(journeys) {
  try {
    await journeys[journey]();
    console.log(`${journey} done`);
  } finally {
    await browser.close();
  }
}
