// Journeys through the page over a pretended fleet; testkit's browser runs them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { above, api, look, number, open, provoked, root, settled, tile, total, travel } from './browser.mjs';

await travel({
  async journey() {
    const page = await open();
    await page.getByRole('link', { name: 'New run' }).click();
    await page.getByLabel('URL to load').fill('http://target:8080/');
    await page.getByLabel('Requests per second (TPS)').fill('1000');
    await page.getByLabel('Duration').fill('1000s');
    await page.getByLabel('Name', { exact: true }).fill('from the form');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.waitForURL(/#\/runs\/[0-9a-f]{32}$/);
    const id = page.url().split('/').pop();
    await above(page, 'sent', 3000);
    assert.equal((await page.locator('h1').textContent()), 'from the form');
    assert.equal(await page.locator('.chart canvas').count(), 5);
    assert.deepEqual((await api(`/runs/${id}`)).words,
      ['--url', 'http://target:8080/', '--tps', '1000', '--duration', '1000s']);

    // Reloaded in the middle: the history stands, from the first second on.
    const before = number(await tile(page, 'sent'));
    await page.reload();
    await above(page, 'sent', before);
    await page.locator('.chart summary').first().click();
    // Its table is drawn once it is open, not by the click.
    await page.locator('.chart').first().locator('tbody td').first().waitFor();
    const told = await page.locator('.chart').first().locator('tbody td:first-child').allTextContents();
    assert.equal(told[told.length - 1], '00:00');
    assert.ok(told.length >= before / 990, `${told.length} seconds after a reload`);

    await look(page);
    await page.getByLabel('Rate per second').fill('2000');
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByText('2,000/s from').waitFor();

    // Stopped: the report comes by itself, and its numbers are the API's.
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.waitForSelector('#audit');
    assert.equal(await page.locator('#stream').textContent(), 'complete');
    const run = await api(`/runs/${id}`);
    assert.equal(run.state, 'ended');
    const shown = {};
    for (const name of ['scheduled', 'sent', 'ok', 'errors', 'dropped', 'unassigned']) shown[name] = number(await tile(page, name));
    const { counts } = run;
    assert.deepEqual(shown, { scheduled: counts.scheduled, sent: counts.sent, ok: counts.ok, errors: total(counts.errors),
      dropped: total(counts.dropped), unassigned: counts.unassigned });
    const { audit } = await api(`/runs/${id}/report`);
    const sentence = await page.locator('#audit').textContent();
    const figures = [...sentence.matchAll(/(scheduled|dropped|unassigned|ok|errors|cut off) ([0-9,]+)/g)]
      .map(([, name, figure]) => [name, number(figure)]);
    assert.deepEqual(Object.fromEntries(figures), { scheduled: audit.scheduled, dropped: total(audit.dropped),
      unassigned: audit.unassigned, ok: audit.ok, errors: total(audit.errors), 'cut off': audit.cut_off });
    const seconds = await api(`/runs/${id}/seconds`);
    const sum = seconds.reduce((all, second) => all + second.counts.sent, 0);
    await look(page);
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.getByRole('link', { name: 'from the form' }).waitFor();
    // The pretended correction added five requests to a second, and to no sum.
    assert.equal(sum - 5, counts.sent);

    // What is refused says so, and the form stays.
    await page.getByRole('link', { name: 'New run' }).click();
    await page.getByLabel('URL to load').fill('http://forbidden/');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.getByRole('alert').getByText('not allowed').waitFor();
    assert.equal(await page.getByLabel('URL to load').inputValue(), 'http://forbidden/');
    provoked('status of 403');
    await settled(page);
  },

  async hostile() {
    const page = await open();
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length > 30);
    await settled(page);
    const { runs } = await api('/runs');
    for (const run of runs) {
      await page.goto(`${root}/#/runs/${run.id}`);
      await page.waitForFunction((name) => document.querySelector('h1')?.textContent === name, run.name);
      await page.waitForFunction(() => document.querySelector('#audit') !== null);
    }
    await settled(page);
    await page.goto(`${root}/#/nodes`);
    await page.getByText('Drain').waitFor();
    await page.getByRole('button', { name: /^Drain/ }).click();
    await page.getByRole('button', { name: /^Take back/ }).waitFor();
    // Nothing of it became an element.
    assert.equal(await page.locator('main :is(script, iframe, img, object, embed, base, meta, style, link)').count(), 0);
    await settled(page);
  },

  async access() {
    const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    const id = (await api('/runs')).runs[0].id;
    for (const colorScheme of ['light', 'dark']) {
      const page = await open('/', { colorScheme });
      for (const path of ['#/', '#/new', '#/nodes', `#/runs/${id}`]) {
        await page.goto(`${root}/${path}`);
        await page.waitForTimeout(500);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run());
        const grave = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
        assert.deepEqual(grave.map(({ id: rule, nodes }) => `${rule} ${nodes.map((node) => node.html)}`), [], `${colorScheme} ${path}`);
        for (const width of [360, 768]) {
          await page.setViewportSize({ width, height: 800 });
          await page.waitForTimeout(200);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          await look(page);
          assert.ok(wide <= width, `${path} is ${wide} wide at ${width}`);
        }
        await page.setViewportSize({ width: 1280, height: 900 });
      }
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme);
      await page.context().close();
    }
    // Without a mouse: to the form, through it, to a chart and along it.
    const page = await open();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'To the content');
    for (let steps = 0; steps < 10; steps += 1) {
      if (await page.evaluate(() => document.activeElement.textContent) === 'New run') break;
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement.textContent === 'New run' && document.activeElement.tagName === 'H1');
    await page.keyboard.press('Tab');
    await page.keyboard.type('http://target:8080/');
    await page.keyboard.press('Tab');
    await page.keyboard.type('1000');
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/runs\/[0-9a-f]{32}$/);
    await page.waitForFunction(() => !document.querySelector('.sentence').textContent.includes('no second'));
    await page.locator('.canvas').first().focus();
    await page.keyboard.press('Home');
    await page.waitForFunction(() => document.getElementById('said').textContent.startsWith('00:00: asked 1,000'));
    await page.keyboard.press('ArrowRight');
    await page.waitForFunction(() => document.getElementById('said').textContent.startsWith('00:01: asked'));
    await settled(page);
  },
});
