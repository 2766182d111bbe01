// Elements, made of words only: nothing here reads markup, so text of others stays text.

// draw('p', { class: 'why' }, 'text', element, …); properties that begin with "on" are listeners.
export function draw(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Puts children in the place of what an element holds.
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Sets a text only when it differs, so that nothing is read out again.
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

// A table that keeps its place while its rows change. Columns: [title, row => text or element, is a number].
export function table(caption, columns) {
  const body = draw('tbody');
  const heads = columns.map(([title, , number]) => draw('th', { scope: 'col', class: number && 'number' }, title));
  const element = draw('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    draw('table', {}, draw('caption', {}, caption), draw('thead', {}, draw('tr', {}, heads)), body));
  return {
    element,
    show(rows, empty = 'Nothing yet.') {
      if (rows.length === 0) {
        fill(body, draw('tr', {}, draw('td', { colspan: columns.length, class: 'empty' }, empty)));
        return;
      }
      fill(body, rows.map((row) => draw('tr', {}, columns.map(([, cell, number]) =>
        draw('td', { class: number && 'number' }, cell(row))))));
    },
  };
}

// A state as a word with a sign before it: never told by colour alone.
const SIGNS = {
  pass: '✓', ready: '✓', running: '▶', ended: '■', fail: '✗', error: '✗', lost: '✗', quarantined: '⚠', untrustworthy: '⚠',
  suspect: '⚠', aborted: '■', refused: '✗',
};

export function badge(word, title) {
  return draw('span', { class: `badge is-${word}`, title }, `${SIGNS[word] || '·'} ${word}`);
}

// What went wrong, where screen readers hear it.
export function alert(message) {
  return draw('p', { class: 'alert', role: 'alert' }, message);
}

export function say(message) {
  text(document.getElementById('said'), message);
}
