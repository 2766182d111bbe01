// The public API, and nothing else of the coordinator.

const ROOT = '/api/v1';

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const options = { method, headers: {}, credentials: 'same-origin', cache: 'no-store' };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(ROOT + path, options);
  } catch {
    throw new Problem(0, 'the coordinator does not answer');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    if (response.status === 401) window.dispatchEvent(new Event('openloop-login'));
    throw new Problem(response.status, answer.detail || `status ${response.status}`);
  }
  return answer;
}

const run = (id) => `/runs/${encodeURIComponent(id)}`;
const node = (name) => `/nodes/${encodeURIComponent(name)}`;

export const api = {
  who: () => ask('GET', '/session'),
  enter: (token) => ask('POST', '/session', { token }),
  leave: () => ask('DELETE', '/session'),
  runs: (query) => ask('GET', `/runs?${new URLSearchParams(query)}`),
  run: (id) => ask('GET', run(id)),
  start: (request) => ask('POST', '/runs', request),
  stop: (id) => ask('POST', `${run(id)}/stop`),
  abort: (id, reason) => ask('POST', `${run(id)}/abort`, { reason }),
  rate: (id, tps) => ask('POST', `${run(id)}/rate`, { tps }),
  report: (id) => ask('GET', `${run(id)}/report`),
  reportPath: (id) => `${ROOT}${run(id)}/report`,
  stopAll: () => ask('POST', '/runs/stop'),
  nodes: () => ask('GET', '/nodes'),
  drain: (name) => ask('POST', `${node(name)}/drain`, {}),
  readmit: (name) => ask('POST', `${node(name)}/readmit`),
};

// Listens to a stream of events; the browser opens it again by itself, and tells where it was.
export function listen(path, listeners, state) {
  const source = new EventSource(ROOT + path);
  for (const [name, heard] of Object.entries(listeners)) {
    source.addEventListener(name, (event) => {
      state?.('live');
      heard(JSON.parse(event.data));
    });
  }
  source.addEventListener('open', () => state?.('live'));
  source.addEventListener('error', () => {
    state?.('offline');
    // A refusal ends a stream for good; why, an ordinary request is told.
    if (source.readyState === EventSource.CLOSED) api.who().catch(() => {});
  });
  return { close: () => source.close() };
}

export const listenFleet = (heard, state) => listen('/fleet/stream', { fleet: heard }, state);
export const listenRun = (id, listeners, state) => listen(`${run(id)}/stream`, listeners, state);
