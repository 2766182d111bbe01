// The nodes.

import { api } from './api.js';
import { alert, badge, draw, fill, table } from './draw.js';
import { count, rate, time } from './units.js';

export function nodesPage(main, mayWrite) {
  const wrong = draw('div', {});
  const failed = (problem) => fill(wrong, alert(problem.message));
  const act = (node) => {
    if (!mayWrite) return '';
    const isOut = ['drained', 'quarantined'].includes(node.state);
    const [label, ask] = isOut ? ['Take back', api.readmit] : ['Drain', api.drain];
    return draw('button', { type: 'button', 'aria-label': `${label} ${node.name}`,
      onclick: () => ask(node.name).then(() => fill(wrong), failed) }, label);
  };
  const list = table('Nodes', [
    ['node', (node) => node.name], ['state', (node) => badge(node.state, node.why)], ['why', (node) => node.why],
    ['zone', (node) => node.zone || '–'], ['host', (node) => node.host], ['version', (node) => node.version],
    ['cores', (node) => count(node.cores), true], ['capacity', (node) => rate(node.capacity_tps), true],
    ['CPU', (node) => `${rate(node.cpu_milli / 1000)} cores`, true],
    ['lag p99', (node) => time(node.lag_p99_ns), true],
    ['clock', (node) => (node.clock_uncertainty_ns === null ? '–' : `± ${time(node.clock_uncertainty_ns)}`), true],
    ['silent', (node) => time(node.silent_ms * 1e6), true],
    ['waiting', (node) => count(node.unacknowledged), true],
    ['', act],
  ]);
  fill(main, draw('h1', { tabindex: '-1' }, 'Nodes'), wrong, list.element,
    draw('p', {}, 'A node joins with: ', draw('code', {}, 'engine node --coordinator HOST:5557')));
  let shown = '';
  return {
    show(fleet) {
      // Buttons under a hand or a reader's cursor are not replaced by equal ones.
      const next = JSON.stringify(fleet.nodes);
      if (next === shown) return;
      const focused = document.activeElement?.getAttribute('aria-label');
      shown = next;
      list.show(fleet.nodes, 'No node has joined yet.');
      if (focused) main.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    },
    close() {},
  };
}
