// The history, and the form that starts a run.

import { api } from './api.js';
import { alert, badge, draw, fill, table } from './draw.js';
import { count, instant, percent, sum, time } from './units.js';

const OVER = ['ended', 'refused'];

export function runsPage(main) {
  const list = table('Runs, the latest first', [
    ['state', (run) => badge(run.verdict || run.state)],
    ['name', (run) => draw('a', { href: `#/runs/${run.id}` }, run.name || run.id.slice(0, 12))],
    ['target', (run) => run.target],
    ['asked for', (run) => run.schedule],
    ['sent', (run) => count(run.counts.sent), true],
    ['errors', (run) => percent(sum(run.counts.errors), run.counts.sent), true],
    ['dropped', (run) => percent(sum(run.counts.dropped), run.counts.scheduled), true],
    ['p99', (run) => time(run.response_ns.p99), true],
    ['submitted', (run) => instant(run.submitted_at)],
  ]);
  const wrong = draw('div', {});
  const more = draw('button', { type: 'button', hidden: true, onclick: () => show(true) }, 'Older runs');
  const search = draw('input', { type: 'search', id: 'search', onchange: () => show(false) });
  fill(main, draw('h1', { tabindex: '-1' }, 'Runs'), wrong,
    draw('p', {}, draw('label', { for: 'search' }, 'Search by name, target or tag'), search), list.element, more);
  let runs = [];
  let before = null;
  let closed = false;

  async function show(further) {
    const query = { limit: 50 };
    if (search.value) query.search = search.value;
    if (further && before) query.before = before;
    try {
      const page = await api.runs(query);
      if (closed) return;
      runs = further ? runs.concat(page.runs) : page.runs;
      before = page.before;
      more.hidden = !before;
      list.show(runs, 'No runs yet. “New run” starts one.');
      fill(wrong);
    } catch (problem) {
      fill(wrong, alert(problem.message));
    }
  }

  show(false);
  // While something is under way the figures move; a page that was turned stays.
  const timer = setInterval(() => {
    if (runs.length <= 50 && (runs.length === 0 || runs.some((run) => !OVER.includes(run.state)))) show(false);
  }, 3000);
  return () => {
    closed = true;
    clearInterval(timer);
  };
}

// Fields of the form: [id, label, flag, input properties, help].
const FIELDS = [
  ['url', 'URL to load', '--url', { type: 'url', placeholder: 'http://target:8080/' }],
  ['rate', 'Requests per second (TPS)', '--tps', { inputmode: 'decimal', placeholder: '1000' }, 'or users below'],
  ['users', 'Users', '--users', { inputmode: 'numeric' }, 'each waits for its answer before it asks again'],
  ['stages', 'Stages', '--stages', { placeholder: '1m:5000, 5m:=5000' }, '1m:5000 ramps to 5,000 within a minute, 5m:=5000 holds it for five'],
  ['duration', 'Duration', '--duration', { placeholder: '30s' }],
  ['connections', 'Connections, at most', '--connections', { inputmode: 'numeric' }],
  ['timeout', 'Timeout', '--timeout', { placeholder: '10s' }],
  ['threshold', 'Threshold', '--threshold', { placeholder: 'p99<50ms' }],
];

export function newPage(main) {
  const wrong = draw('div', {});
  const field = ([id, label, , properties, help]) => draw('div', { class: 'field' }, draw('label', { for: id }, label),
    draw('input', { id, name: id, autocomplete: 'off', 'aria-describedby': help && `${id}-help`, ...properties }),
    help ? draw('small', { id: `${id}-help` }, help) : null);
  const area = (id, label, rows, help) => draw('div', { class: 'field' }, draw('label', { for: id }, label),
    draw('textarea', { id, name: id, rows, spellcheck: 'false', 'aria-describedby': `${id}-help` }),
    draw('small', { id: `${id}-help` }, help));
  const choice = draw('select', { id: 'on_node_loss', name: 'on_node_loss' },
    [['redistribute', 'the others take its load over'], ['continue', 'its load stays unassigned'], ['abort', 'the run is aborted']]
      .map(([value, label]) => draw('option', { value }, label)));
  const button = draw('button', { type: 'submit', class: 'main' }, 'Start');
  const form = draw('form', { id: 'new' },
    FIELDS.map(field),
    area('headers', 'Headers', 2, 'one on each line, such as Accept: application/json'),
    area('words', 'More flags of engine run', 2, 'one on each line, such as --insecure; a value after a space'),
    area('plan', 'Or a plan file (YAML)', 8, 'in place of URL, rate and duration'),
    draw('fieldset', {}, draw('legend', {}, 'The run'),
      field(['name', 'Name', '', {}]), field(['project', 'Project', '', { placeholder: 'default' }]),
      field(['expect', 'Nodes that must be there', '', { type: 'number', min: '1', step: '1' }]),
      draw('div', { class: 'field' }, draw('label', { for: 'on_node_loss' }, 'When a node is lost'), choice)),
    wrong, button);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    fill(wrong);
    try {
      const run = await api.start(request(form));
      window.location.hash = `#/runs/${run.id}`;
    } catch (problem) {
      fill(wrong, alert(problem.message));
      button.disabled = false;
    }
  });
  fill(main, draw('h1', { tabindex: '-1' }, 'New run'), form);
  return () => {};
}

// What the form asks for, as the API takes it.
function request(form) {
  const value = (id) => form.elements[id].value.trim();
  const lines = (id) => value(id).split('\n').map((line) => line.trim()).filter((line) => line);
  const words = FIELDS.filter(([id]) => value(id)).flatMap(([id, , flag]) => [flag, value(id)]);
  for (const header of lines('headers')) words.push('--header', header);
  for (const line of lines('words')) {
    const [flag, ...rest] = line.split(' ');
    words.push(flag, ...(rest.length ? [rest.join(' ')] : []));
  }
  const texts = {};
  if (value('plan')) {
    texts['plan.yaml'] = form.elements.plan.value;
    words.unshift('plan.yaml');
  }
  const nodes = value('expect') ? { expect: Number(value('expect')) } : {};
  return { words, texts, nodes, name: value('name'), project: value('project'), on_node_loss: value('on_node_loss') };
}
