// One run: live while it runs, and its report when it has ended.

import { api, listenRun } from './api.js';
import { Chart } from './charts.js';
import { alert, badge, draw, fill, say, table, text } from './draw.js';
import { report } from './report.js';
import { clock, count, instant, percent, rate, sum, time } from './units.js';

const OVER = ['ended', 'refused'];
// More points than this are asked for anew, put together.
const POINTS_LIMIT = 7200;

const TILES = [
  ['scheduled', 'Scheduled', (run) => count(run.counts.scheduled)],
  ['sent', 'Sent', (run) => count(run.counts.sent)],
  ['ok', 'Ok', (run) => count(run.counts.ok)],
  ['errors', 'Errors', (run) => count(sum(run.counts.errors)), (run) => percent(sum(run.counts.errors), run.counts.sent)],
  ['dropped', 'Dropped', (run) => count(sum(run.counts.dropped)),
    (run) => percent(sum(run.counts.dropped), run.counts.scheduled)],
  ['unassigned', 'Unassigned', (run) => count(run.counts.unassigned)],
  ['p50', 'p50, whole run', (run) => time(run.response_ns.p50)],
  ['p99', 'p99, whole run', (run) => time(run.response_ns.p99)],
  ['max', 'Slowest, whole run', (run) => time(run.response_ns.max)],
];

const perSecond = (value) => (point) => value(point) / point.stretch_s;

const makeCharts = () => [
  new Chart('Requests per second: asked and sent', [
    ['asked', (point) => point.asked_tps], ['sent', perSecond((point) => point.sent)], ['ok', perSecond((point) => point.ok)],
  ], { format: rate }),
  new Chart('Response time', [
    ['p50', (point) => point.p50], ['p90', (point) => point.p90], ['p99', (point) => point.p99],
    ['p99.9', (point) => point.p99_9], ['max', (point) => point.max],
  ], { log: true, format: time }),
  new Chart('Not answered well, per second', [
    ['errors', perSecond((point) => sum(point.errors))], ['dropped', perSecond((point) => sum(point.dropped))],
    ['unassigned', perSecond((point) => point.unassigned)], ['cut off', perSecond((point) => point.cut_off)],
  ], { format: rate }),
  new Chart('In flight, connections and nodes', [
    ['in flight', (point) => point.in_flight], ['connections', (point) => point.connections],
    ['nodes', (point) => point.nodes],
  ], { format: rate }),
  new Chart("The generator's own lateness (schedule lag)", [['p99', (point) => point.lag_p99]], { log: true, format: time }),
];

export function runPage(main, id, mayWrite) {
  const charts = makeCharts();
  const points = new Map();
  let historyEnd = 0;
  let stretch = 1;
  let stream;
  let timer;
  let run;

  const title = draw('h1', { tabindex: '-1' }, 'Run');
  const state = draw('p', { class: 'state' });
  const link = draw('p', { id: 'stream', role: 'status' }, 'connecting');
  const why = draw('div', {});
  const tiles = TILES.map(([key, name, value, aside]) => {
    const figure = draw('dd', { id: `tile-${key}` }, '–');
    const more = draw('dd', { class: 'aside' });
    return { value, aside, figure, more, element: draw('div', { class: 'tile' }, draw('dt', {}, name), figure, more) };
  });
  const shares = table('Nodes of this run', [
    ['node', (row) => row.node], ['zone', (row) => row.zone || '–'],
    ['cells', (row) => count(row.cells), true], ['share', (row) => percent(row.cells, 55440), true],
    ['scheduled', (row) => count(row.counts.scheduled), true], ['sent', (row) => count(row.counts.sent), true],
    ['errors', (row) => count(sum(row.counts.errors)), true], ['p99', (row) => time(row.response_ns.p99), true],
    ['start skew', (row) => (row.start_skew_ns === null ? '–' : `${time(row.start_skew_ns)} ± ${time(row.start_uncertainty_ns)}`), true],
  ]);
  const degraded = draw('ul', { class: 'degraded' });
  const thresholds = draw('ul', { class: 'thresholds' });
  const controls = draw('div', { class: 'controls' });
  const finished = draw('div', { id: 'report' });
  fill(main, title, state, link, why, controls, draw('dl', { class: 'tiles' }, tiles.map((tile) => tile.element)),
    thresholds, degraded, draw('div', { class: 'charts' }, charts.map((chart) => chart.element)), shares.element, finished);

  const failed = (problem) => fill(why, alert(problem.message));

  function buildControls() {
    if (!mayWrite) return;
    const tps = draw('input', { id: 'tps', type: 'number', min: '0', step: 'any', required: true, 'aria-label': 'New rate per second' });
    fill(controls,
      draw('button', { type: 'button', id: 'stop', class: 'danger', onclick: () =>
        api.stop(id).then(() => say('The run is stopping.'), failed) }, 'Stop'),
      draw('button', { type: 'button', id: 'abort', onclick: () => {
        if (window.confirm('Leave the run now, without waiting for what is in flight?')) {
          api.abort(id, 'aborted on the page').catch(failed);
        }
      } }, 'Abort'),
      draw('form', { class: 'inline', onsubmit: (event) => {
        event.preventDefault();
        api.rate(id, Number(tps.value)).then((change) => {
          fill(why, draw('p', {}, `${rate(change.tps)}/s from ${clock(change.from_ns)} of the run on.`));
        }, failed);
      } }, draw('label', { for: 'tps' }, 'Rate per second'), tps, draw('button', { type: 'submit' }, 'Change')));
  }

  function showRun(next) {
    run = next;
    text(title, run.name || run.target || run.id);
    const until = run.length_ns === null ? '' : ` of ${clock(run.length_ns)}`;
    const judged = run.verdict ? [' ', badge(run.verdict), ` exit code ${run.exit_code}`] : [];
    fill(state, badge(run.state), ` ${clock(run.run_ns)}${until} · ${run.target} · ${run.schedule} · `,
      `started ${instant(run.started_at)} · ${run.id}`, ...judged);
    if (run.why) fill(why, draw('p', { class: 'why' }, run.why));
    for (const tile of tiles) {
      text(tile.figure, tile.value(run));
      if (tile.aside) text(tile.more, tile.aside(run));
    }
    fill(degraded, run.degraded.map((one) => draw('li', {}, `⚠ ${one.what}: from ${clock(one.from_ns)} `,
      one.until_ns === null ? 'on' : `to ${clock(one.until_ns)}`)));
    fill(thresholds, run.thresholds.map((one) => draw('li', {}, badge(one.passed ? 'pass' : 'fail'),
      ` ${one.threshold} (${one.measured})`)));
    if (OVER.includes(run.state)) fill(controls);
    else if (!controls.hasChildNodes()) buildControls();
  }

  function showPoints() {
    const sorted = [...points.values()].sort((left, right) => left.second - right.second);
    charts.forEach((chart) => chart.show(sorted));
    if (sorted.length > POINTS_LIMIT) open();
  }

  async function showShares() {
    try {
      const whole = await api.run(id);
      shares.show(whole.shares);
    } catch {
      // The stream says what is wrong.
    }
  }

  async function showReport() {
    if (run.state !== 'ended') return;
    try {
      const summary = await api.report(id);
      fill(finished, report(summary),
        draw('p', {}, draw('a', { href: api.reportPath(id), download: `summary-${id}.json` }, 'The summary document (JSON)')));
    } catch (problem) {
      fill(finished, alert(problem.message));
    }
  }

  const status = (word) => text(link, word === 'live' ? 'live' : 'offline: the figures are as old as they were; trying again');

  function open() {
    stream?.close();
    stream = listenRun(id, {
      history(event) {
        points.clear();
        stretch = event.stretch_s;
        event.points.forEach((point) => points.set(point.second, point));
        historyEnd = event.points.length ? event.points[event.points.length - 1].second + stretch : 0;
        showRun(event.run);
        showPoints();
        showShares();
      },
      seconds(event) {
        // A correction within seconds that were put together takes a new look at all of them.
        if (stretch > 1 && event.points.some((point) => point.second < historyEnd)) {
          open();
          return;
        }
        event.points.forEach((point) => points.set(point.second, point));
        showPoints();
      },
      run: showRun,
      end(next) {
        stream.close();
        showRun(next);
        text(link, 'complete');
        say(`The run has ended: ${next.verdict || next.state}.`);
        showShares();
        showReport();
      },
    }, status);
  }

  open();
  timer = setInterval(() => {
    if (run && !OVER.includes(run.state)) showShares();
  }, 2000);
  return () => {
    clearInterval(timer);
    stream?.close();
    charts.forEach((chart) => chart.close());
  };
}
