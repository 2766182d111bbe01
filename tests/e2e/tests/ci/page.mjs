// Journeys through the page over a real fleet of three nodes; testkit's browser runs them.

import assert from 'node:assert/strict';
import { above, agree, api, look, number, open, provoked, settled, tile, total, travel } from './browser.mjs';

const TARGET = 'TARGET_URL';
const SHOWN = ['scheduled', 'sent', 'ok', 'errors', 'dropped', 'unassigned'];

// Fills the form and starts; yields the id of the run.
async function start(page, { rate, duration, name, words = '--max-lag 1h' }) {
  await page.getByRole('link', { name: 'New run' }).click();
  await page.getByLabel('URL to load').fill(TARGET);
  await page.getByLabel('Requests per second (TPS)').fill(rate);
  await page.getByLabel('Duration').fill(duration);
  await page.getByLabel('More flags of engine run').fill(words);
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Nodes that must be there').fill('3');
  await page.getByRole('button', { name: 'Start' }).click();
  await page.waitForURL(/#\/runs\/[0-9a-f]{32}$/);
  return page.url().split('/').pop();
}

// The figures of the tiles are those of the run, and those of the report are those of its document.
async function agrees(page, id) {
  const run = await api(`/runs/${id}`);
  const shown = {};
  for (const name of SHOWN) shown[name] = number(await tile(page, name));
  const { counts } = run;
  assert.deepEqual(shown, { scheduled: counts.scheduled, sent: counts.sent, ok: counts.ok, errors: total(counts.errors),
    dropped: total(counts.dropped), unassigned: counts.unassigned });
  const { audit, verdict } = await api(`/runs/${id}/report`);
  const sentence = await page.locator('#audit').textContent();
  const figures = [...sentence.matchAll(/(scheduled|sent|dropped|unassigned|ok|errors|cut off) ([0-9,]+)/g)]
    .map(([, name, figure]) => [name, number(figure)]);
  assert.deepEqual(Object.fromEntries(figures), { scheduled: audit.scheduled, sent: audit.sent, dropped: total(audit.dropped),
    unassigned: audit.unassigned, ok: audit.ok, errors: total(audit.errors), 'cut off': audit.cut_off });
  assert.match(sentence, /✓/);
  assert.equal(audit.sent, counts.sent);
  assert.match(await page.locator('#report .badge').first().textContent(), new RegExp(`${verdict.result}$`));
  return run;
}

// The rows of a chart's table: the latest first, each [time, figures…].
async function rows(page, chart) {
  const figure = page.locator('.chart').nth(chart);
  if (!(await figure.locator('details').evaluate((one) => one.open))) await figure.locator('summary').click();
  // It is drawn once it is open, not by the click.
  await figure.locator('details tbody tr').first().waitFor();
  return figure.locator('details tbody tr').evaluateAll((all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
}

await travel({
  async whole() {
    const page = await open();
    await page.getByText('3 nodes connected').waitFor();
    const id = await start(page, { rate: '300', duration: '10m', name: 'over a fleet' });
    await above(page, 'sent', 700);
    assert.equal(await page.locator('h1').textContent(), 'over a fleet');
    assert.match(await page.locator('.state').textContent(), /300\/s for 10m/);
    // Three nodes, with a third of the plan each.
    await page.waitForFunction(() => [...document.querySelectorAll('table')].some((one) =>
      one.textContent.includes('gamma') && one.textContent.includes('18,480')));

    // Reloaded in the middle: everything since the begin is there, and it goes on.
    const before = number(await tile(page, 'sent'));
    await page.reload();
    await above(page, 'sent', before + 300);
    const history = await rows(page, 0);
    assert.equal(history.at(-1)[0], '00:00');
    assert.equal(history.length, new Set(history.map(([at]) => at)).size, 'each second once');
    assert.ok(history.length >= before / 300, `${history.length} seconds after a reload`);

    // Faster, on all nodes at one instant.
    await page.getByLabel('Rate per second').fill('600');
    await page.getByRole('button', { name: 'Change' }).click();
    await page.getByText('600/s from').waitFor();
    await look(page);
    await page.waitForFunction(() => document.querySelector('.chart details tbody tr')?.children[1].textContent === '600');
    await page.waitForFunction(() => {
      const sent = Number(document.querySelector('.chart details tbody tr')?.children[2].textContent.replaceAll(',', ''));
      return sent >= 590 && sent <= 610;
    });

    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await page.waitForSelector('#audit');
    assert.equal(await page.locator('#stream').textContent(), 'complete');
    const run = await agrees(page, id);
    assert.equal(run.state, 'ended');
    assert.equal(total(Object.fromEntries(run.shares.map((share) => [share.node, share.counts.sent]))), run.counts.sent);
    const seconds = await api(`/runs/${id}/seconds`);
    assert.equal(seconds.reduce((all, second) => all + second.counts.sent, 0), run.counts.sent);
    // How each node began stands in the table, with how sure that is.
    assert.equal(await page.getByRole('cell', { name: /±/ }).count(), 3);

    // The history has it, found by its name; the page of a run that is over shows all of it.
    await page.getByRole('link', { name: 'Runs', exact: true }).click();
    await page.getByLabel('Search by name').fill('over a fl');
    await page.getByLabel('Search by name').press('Enter');
    await page.getByRole('link', { name: 'over a fleet' }).click();
    await page.waitForSelector('#audit');
    assert.equal((await rows(page, 0)).length, seconds.length);
    await agrees(page, id);
    await settled(page);
    console.log(`sent ${run.counts.sent}`);
  },

  async mistakes() {
    const page = await open();
    await page.getByRole('link', { name: 'New run' }).click();
    const fields = { 'URL to load': TARGET, 'Requests per second (TPS)': '50', Duration: '2s' };
    const wrongs = [
      [{ Duration: '30' }, /a duration needs a unit|unit/],
      [{ 'Requests per second (TPS)': 'many' }, /many/],
      [{ 'Requests per second (TPS)': '-5' }, /-5/],
      [{ 'URL to load': '' }, /nothing says whom to load/],
      [{ 'More flags of engine run': '--tsp 5' }, /--tsp/],
      [{ 'More flags of engine run': '--control /tmp/x' }, /--control/],
      [{ 'More flags of engine run': '--body-file /etc/passwd' }, /--body-file: cannot read/],
      [{ Threshold: 'p99<50' }, /p99<50/],
      [{ 'Requests per second (TPS)': '', 'URL to load': '', 'Or a plan file (YAML)': 'workloads: [' }, /plan\.yaml/],
    ];
    for (const [wrong, says] of wrongs) {
      const typed = { 'More flags of engine run': '', Threshold: '', 'Or a plan file (YAML)': '', ...fields, ...wrong };
      if (typed['Or a plan file (YAML)']) typed.Duration = '';
      for (const [label, text] of Object.entries(typed)) await page.getByLabel(label, { exact: true }).fill(text);
      await page.getByRole('button', { name: 'Start' }).click();
      const alert = page.getByRole('alert');
      await page.waitForFunction((source) => new RegExp(source).test(document.querySelector('[role=alert]')?.textContent ?? ''), says.source)
        .catch(async () => assert.fail(`${JSON.stringify(wrong)}: ${await alert.allTextContents()}`));
      for (const [label, text] of Object.entries(typed)) {
        assert.equal(await page.getByLabel(label, { exact: true }).inputValue(), text, `${label} after ${JSON.stringify(wrong)}`);
      }
    }
    await look(page);
    // Browsers write every refusal on the console.
    ['status of 400', 'status of 403', 'status of 422'].forEach(provoked);
    const typed = { ...fields, 'Or a plan file (YAML)': '', Threshold: '' };
    for (const [label, text] of Object.entries(typed)) await page.getByLabel(label, { exact: true }).fill(text);
    const id = await start(page, { rate: '50', duration: '2s', name: 'at last' });
    await page.waitForSelector('#audit', { timeout: 30_000 });
    const run = await agrees(page, id);
    assert.deepEqual([run.verdict, run.counts.sent], ['pass', 100]);
    await settled(page);
  },

  // Somebody kills the coordinator meanwhile, and starts it again.
  async outage() {
    const page = await open();
    const id = await start(page, { rate: '200', duration: '20s', name: 'with an outage' });
    await page.waitForFunction(() => document.getElementById('stream').textContent.startsWith('offline'), null, { timeout: 30_000 });
    const before = number(await tile(page, 'sent'));
    await page.waitForFunction(() => document.getElementById('stream').textContent === 'live', null, { timeout: 30_000 });
    await above(page, 'sent', before);
    await page.waitForSelector('#audit', { timeout: 60_000 });
    const run = await agrees(page, id);
    assert.deepEqual([run.verdict, run.counts.sent, run.counts.unassigned], ['pass', 4000, 0]);
    const seconds = await api(`/runs/${id}/seconds`);
    const shown = await rows(page, 0);
    assert.deepEqual(shown.map(([at]) => at).reverse(), seconds.map((_, at) => `00:${String(at).padStart(2, '0')}`));
    ['ERR_CONNECTION_REFUSED', 'ERR_INCOMPLETE_CHUNKED_ENCODING', 'ERR_CONNECTION_RESET', 'ERR_EMPTY_RESPONSE'].forEach(provoked);
    await settled(page);
  },

  async death() {
    const page = await open();
    const id = await start(page, { rate: '300', duration: '10m', name: 'with a death' });
    await above(page, 'sent', 500);
    const { pid } = (await api('/nodes')).find((node) => node.name === 'beta');
    process.kill(pid, 'SIGKILL');
    await page.locator('.degraded').getByText(/beta/).waitFor();
    await page.waitForFunction(() => Number(document.getElementById('tile-unassigned').textContent.replaceAll(',', '')) > 50);
    await look(page);
    // The others have its load: two of them, half of the plan each.
    await rows(page, 0);
    await page.waitForFunction(() => [...document.querySelectorAll('table')].some((one) => one.textContent.includes('27,720')));
    await page.waitForFunction(() => {
      const sent = Number(document.querySelector('.chart details tbody tr')?.children[2].textContent.replaceAll(',', ''));
      return sent >= 290 && sent <= 310;
    });
    await page.getByRole('link', { name: 'Nodes' }).click();
    await page.getByRole('row', { name: /beta/ }).getByText(/lost/).waitFor();
    await settled(page);
    await page.goBack();
    await page.waitForSelector('#tile-sent');
    const sent = (await api(`/runs/${id}`)).counts.sent;
    await above(page, 'sent', sent);
    // Left by hand, after a question.
    agree('without waiting');
    await page.getByRole('button', { name: 'Abort' }).click();
    await page.waitForSelector('#audit', { timeout: 30_000 });
    const run = await agrees(page, id);
    assert.equal(run.verdict, 'aborted');
    assert.ok(run.counts.unassigned > 0);
    await settled(page);
  },
});
