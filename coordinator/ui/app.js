// The frame around the pages: who is here, which page is shown, how the fleet stands.

import { api, listenFleet } from './api.js';
import { repaint } from './charts.js';
import { alert, draw, fill, say, text } from './draw.js';
import { nodesPage } from './fleet.js';
import { runPage } from './run.js';
import { newPage, runsPage } from './runs.js';

const main = document.getElementById('main');
const status = document.getElementById('fleet');
const stopAll = document.getElementById('stop-all');

let close = () => {};
let nodes = null;
let fleet = null;
let mayWrite = false;
let stream = null;
let isFirst = true;

function show() {
  close();
  nodes = null;
  const path = window.location.hash.replace(/^#/, '') || '/';
  const run = /^\/runs\/([0-9a-f]{32})$/.exec(path);
  if (run) {
    close = runPage(main, run[1], mayWrite);
  } else if (path === '/new') {
    close = newPage(main);
  } else if (path === '/nodes') {
    nodes = nodesPage(main, mayWrite);
    close = nodes.close;
    if (fleet) nodes.show(fleet);
  } else {
    close = runsPage(main);
  }
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#${path}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  // Who came by keyboard goes on at the page's begin.
  const head = main.querySelector('h1');
  document.title = `${head?.textContent || 'Openloop'} · Openloop`;
  if (!isFirst) head?.focus();
  isFirst = false;
}

function heard(next) {
  fleet = next;
  const ready = fleet.nodes.filter((node) => node.connected).length;
  const running = fleet.runs.filter((run) => !['ended', 'refused'].includes(run.state)).length;
  text(status, `${ready} ${ready === 1 ? 'node' : 'nodes'} connected · ${running} under way`);
  status.classList.remove('offline');
  stopAll.hidden = !mayWrite || running === 0;
  nodes?.show(fleet);
}

function fleetState(word) {
  if (word === 'live') return;
  text(status, 'coordinator offline; nodes stop by themselves when their lease ends');
  status.classList.add('offline');
}

function login(message) {
  close();
  close = () => {};
  stream?.close();
  stream = null;
  text(status, 'not signed in');
  const token = draw('input', { id: 'token', type: 'password', autocomplete: 'off', required: true });
  const wrong = draw('div', {}, message ? alert(message) : null);
  const form = draw('form', { id: 'login', onsubmit: async (event) => {
    event.preventDefault();
    try {
      await api.enter(token.value);
      begin();
    } catch (problem) {
      fill(wrong, alert(problem.message));
    }
  } }, draw('label', { for: 'token' }, 'Token, as “coordinator tokens” printed it'), token,
  draw('button', { type: 'submit', class: 'main' }, 'Enter'), wrong);
  fill(main, draw('h1', { tabindex: '-1' }, 'Sign in'), form);
}

async function begin() {
  try {
    const who = await api.who();
    mayWrite = who.role === 'operator';
  } catch (problem) {
    if (problem.status !== 401) {
      fill(main, alert(`${problem.message}; trying again`));
      setTimeout(begin, 2000);
    }
    return;
  }
  stream?.close();
  stream = listenFleet(heard, fleetState);
  show();
}

function dress(theme) {
  document.documentElement.dataset.theme = theme;
  repaint();
}

document.getElementById('theme').addEventListener('click', () => {
  const isDark = document.documentElement.dataset.theme === 'dark';
  const next = isDark ? 'light' : 'dark';
  window.localStorage.setItem('openloop-theme', next);
  dress(next);
  say(`${next} colours`);
});

stopAll.addEventListener('click', () => {
  if (!window.confirm('Stop every run that is under way, and empty the queue?')) return;
  api.stopAll().then((answer) => say(`${answer.stopped} runs are stopping`), (problem) => text(status, problem.message));
});

const dark = window.matchMedia('(prefers-color-scheme: dark)');
const chosen = () => window.localStorage.getItem('openloop-theme') || (dark.matches ? 'dark' : 'light');
dark.addEventListener('change', () => dress(chosen()));
dress(chosen());

window.addEventListener('openloop-login', () => {
  if (!document.getElementById('login')) login();
});
window.addEventListener('hashchange', show);
begin();
