// The report of a run, drawn from its openloop.summary/1 document.

import { badge, draw, table } from './draw.js';
import { count, percent, rate, sum, time } from './units.js';

const KINDS = [
  ['response', 'Response time'], ['response_ok', 'Response time, successes'], ['service', 'Service time'],
  ['queue', 'Queue wait'], ['lag', 'Schedule lag'], ['connect', 'Connect'], ['tls', 'TLS handshake'],
  ['first_byte', 'First byte'],
];

const COLUMNS = [
  ['count', (row) => count(row.entry.count), true],
  ['mean', (row) => time(row.entry.mean), true],
  ...['p50', 'p90', 'p99', 'p99_9', 'p99_99', 'max'].map((name) =>
    [name.replace('_', '.'), (row) => time(row.entry[name]), true]),
];

export function report(summary) {
  const verdict = summary.verdict || {};
  return [
    draw('section', { 'aria-label': 'Judgement' },
      draw('h2', {}, 'Report'),
      draw('p', {}, badge(verdict.result || 'error'), ` exit code ${verdict.exit_code}`),
      draw('ul', {}, (verdict.reasons || []).map((reason) => draw('li', {}, reason)))),
    audit(summary.audit || {}),
    latencies(summary.latency_ns || {}),
    names(summary.names || {}),
    thresholds(summary.thresholds || []),
    environment(summary),
  ];
}

function audit(audit) {
  const dropped = sum(audit.dropped);
  const errors = sum(audit.errors);
  const parts = Object.entries({ ...audit.dropped, ...audit.errors }).filter(([, value]) => value > 0);
  return draw('section', { 'aria-label': 'Audit' },
    draw('h2', {}, 'Where every arrival went'),
    draw('p', { id: 'audit' }, `scheduled ${count(audit.scheduled)} = sent ${count(audit.sent)} + dropped ${count(dropped)} ` +
      `+ unassigned ${count(audit.unassigned)}; sent ${count(audit.sent)} = ok ${count(audit.ok)} + errors ${count(errors)} ` +
      `+ cut off ${count(audit.cut_off)} ${audit.balanced ? '✓' : '✗ does not add up'}`),
    draw('ul', {}, parts.map(([name, value]) => draw('li', {}, `${name}: ${count(value)}`))));
}

function latencies(entries) {
  const rows = KINDS.filter(([key]) => entries[key]?.count > 0).map(([key, title]) => ({ title, entry: entries[key] }));
  const figures = table('Latencies of the whole run', [['', (row) => row.title], ...COLUMNS]);
  figures.show(rows);
  return draw('section', { 'aria-label': 'Latencies' }, draw('h2', {}, 'Latencies'), figures.element);
}

function names(entries) {
  const rows = Object.entries(entries).map(([title, name]) => ({ title, name, entry: name.latency_ns.response }));
  const figures = table('By request name, response time', [
    ['name', (row) => row.title],
    ['sent', (row) => count(row.name.sent), true],
    ['errors', (row) => `${count(sum(row.name.errors))} (${percent(sum(row.name.errors), row.name.sent)})`, true],
    ...COLUMNS.slice(1),
  ]);
  figures.show(rows);
  return draw('section', { 'aria-label': 'Requests' }, draw('h2', {}, 'Requests'), figures.element);
}

function thresholds(list) {
  if (list.length === 0) return null;
  const figures = table('Thresholds of the whole run', [
    ['threshold', (row) => row.threshold],
    ['', (row) => badge(row.passed ? 'pass' : 'fail')],
    ['measured', (row) => row.measured],
  ]);
  figures.show(list);
  return draw('section', { 'aria-label': 'Thresholds' }, draw('h2', {}, 'Thresholds'), figures.element);
}

function environment(summary) {
  const facts = [
    ['target', summary.target?.url], ['schedule', summary.plan?.schedule], ['arrivals', summary.plan?.process],
    ['asked', summary.rate && `${rate(summary.rate.asked_tps)}/s`], ['sent', summary.rate && `${rate(summary.rate.sent_tps)}/s`],
    ['version', summary.run?.tool_version], ['started', summary.run?.started_at],
  ].filter(([, value]) => value);
  const notes = summary.environment?.notes || [];
  return draw('section', { 'aria-label': 'Facts' }, draw('h2', {}, 'Facts'),
    draw('dl', {}, facts.flatMap(([name, value]) => [draw('dt', {}, name), draw('dd', {}, value)])),
    draw('ul', {}, notes.map((note) => draw('li', {}, note))));
}
