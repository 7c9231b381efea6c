// The page: a form, a card for each task of it, and the pools' figures. What comes from outside is only ever text.

import { Refused, ask, follow } from './stream.js';

const POLL_MS = 1000;

// A browser opens six connections to a host over HTTP/1.1: two are left for the figures and for cancelling.
const MOST_STREAMS = performance.getEntriesByType('navigation')[0]?.nextHopProtocol === 'h2' ? 50 : 4;
const MOST_CARDS = 30;

const byId = (id) => document.getElementById(id);
const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const known = (value_s) => (value_s === null ? '–' : seconds(value_s * 1000));
const token = () => byId('token').value;

/** A task of this page: what it was asked, where it stands, and its card. */
class Task {
  id = null;
  over = false;
  pending = '';
  startedMs = performance.now();
  giving = new AbortController();

  constructor(kind, path, body) {
    this.address = `${kind}/stream${path}`;
    this.body = body;
    this.card = byId('task').content.cloneNode(true).firstElementChild;
    this.show('topic', body.topic);
    this.show('what', `${kind.split('/').pop()}, ${path ? 'pooled' : 'direct'}`);
    this.show('state', 'sent');
    this.part('text').lang = body.language;
    this.part('text').ariaLabel = `Text: ${body.topic.slice(0, 80)}`;
    this.part('cancel').ariaLabel = `Cancel: ${body.topic.slice(0, 80)}`;
    this.part('cancel').addEventListener('click', () => this.cancel());
  }

  get signal() {
    return this.giving.signal;
  }

  token() {
    return token();
  }

  part(name) {
    return this.card.querySelector(`.${name}`);
  }

  show(name, text) {
    const part = this.part(name);
    if (part.textContent !== text) part.textContent = text;
  }

  sinceStart() {
    return seconds(performance.now() - this.startedMs);
  }

  /** Runs to the end; never throws. */
  async run() {
    try {
      for await (const event of follow(this)) this.take(event);
    } catch (error) {
      this.failed(error);
    }
    this.over = true;
    this.write();
    this.card.classList.remove('running', 'waiting');
    this.show('total', this.sinceStart());
    this.show('place', '–');
    this.part('cancel').hidden = true;
  }

  take({ name, data }) {
    this.show('problem', '');
    this.card.classList.remove('waiting');
    if (name === 'start') this.begun(data);
    else if (name === 'progress') this.running();
    else if (name === 'chunk') this.add(data.text);
    else if (name === 'complete') this.show('state', data.cached ? 'done, from the cache' : 'done');
    else if (name === 'error') {
      this.show('state', data.code === 'cancelled' ? 'cancelled' : 'failed');
      if (data.code !== 'cancelled') this.show('problem', `${data.code}: ${data.message}`);
    }
  }

  begun(data) {
    this.id = data.task_id;
    this.show('id', data.task_id);
    if (!data.position) return this.running();
    this.show('state', 'queued');
    this.show('place', String(data.position));
  }

  running() {
    this.show('state', 'running');
    this.show('place', '–');
  }

  /** Keeps a piece of text for the next frame: hundreds may come in one. */
  add(text) {
    if (this.part('first').textContent === '–') this.show('first', this.sinceStart());
    this.running();
    this.card.classList.add('running');
    if (!this.pending) requestAnimationFrame(() => this.write());
    this.pending += text;
  }

  write() {
    const box = this.part('text');
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 8;
    if (this.pending) box.append(this.pending);
    this.pending = '';
    if (atEnd) box.scrollTop = box.scrollHeight;
  }

  waiting(waitS, why) {
    this.show('state', 'waiting');
    this.card.classList.add('waiting');
    this.show('problem', `${why}. Trying again in ${Math.ceil(waitS)} s.`);
  }

  failed(error) {
    this.show('state', this.signal.aborted ? 'cancelled' : 'failed');
    if (this.signal.aborted) return;
    this.show('problem', error.message);
    if (error instanceof Refused && error.status === 401) askForToken();
  }

  /** Asks the service to cancel; a task that it does not know yet is given up here. */
  async cancel() {
    this.part('cancel').disabled = true;
    if (!this.id) {
      this.giving.abort();
      return;
    }
    try {
      await ask(`tasks/${this.id}`, token(), { method: 'DELETE' });
    } catch (error) {
      this.part('cancel').disabled = false;
      this.show('problem', `It could not be cancelled: ${error.message}`);
    }
  }

  /** Has the service cancel what nobody will read: it would wait a while for this page to come back. */
  leave() {
    if (this.id && !this.over) ask(`tasks/${this.id}`, token(), { method: 'DELETE', keepalive: true }).catch(() => {});
  }

  /** Asks for the place in the queue; the stream tells all else. */
  async poll() {
    const view = await (await ask(`tasks/${this.id}/status`, token())).json();
    if (this.over || view.state !== 'queued') return;
    this.show('place', view.position === null ? '–' : String(view.position));
  }
}

const tasks = [];

function start() {
  const choices = new FormData(byId('form'));
  const open = tasks.filter((task) => !task.over).length;
  if (open >= MOST_STREAMS) {
    byId('news').textContent = `${open} are under way: this browser has no connection left for one more.`;
    return;
  }
  const body = { topic: byId('topic').value.trim(), language: byId('language').value, user_id: 'page' };
  if (!body.topic) {
    byId('news').textContent = 'Write a topic first.';
    return;
  }
  const task = new Task(choices.get('kind'), choices.get('path'), body);
  tasks.unshift(task);
  byId('tasks').prepend(task.card);
  byId('no-tasks').hidden = true;
  byId('news').textContent = `Started: ${body.topic.slice(0, 80)}`;
  for (const old of tasks.slice(MOST_CARDS).filter((each) => each.over)) {
    old.card.remove();
    tasks.splice(tasks.indexOf(old), 1);
  }
  task.run();
}

function askForToken() {
  byId('access').open = true;
  byId('token').focus();
}

const FIGURES = [
  ['Busy', (pool) => `${pool.busy} of ${pool.slots}`],
  ['Queued', (pool) => (pool.queue_size ? `${pool.queued} of ${pool.queue_size}` : '–')],
  ['Refused', (pool) => String(pool.rejected)],
  ['Timed out', (pool) => String(pool.timed_out)],
  ['Mean wait', (pool) => known(pool.mean_wait_s)],
  ['Mean time', (pool) => known(pool.mean_service_s)],
];

function cell(kind, text, scope) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
}

function showPools(pools) {
  const head = byId('pool-names');
  head.replaceChildren(head.firstElementChild, ...pools.map((pool) => cell('th', pool.name, 'col')));
  byId('pool-figures').replaceChildren(
    ...FIGURES.map(([name, figure]) => {
      const row = document.createElement('tr');
      row.append(cell('th', name, 'row'), ...pools.map((pool) => cell('td', figure(pool))));
      return row;
    }),
  );
}

async function poll() {
  const live = tasks.filter((task) => task.id && !task.over);
  const asked = await Promise.allSettled([
    ask('system/pools', token()).then(async (answer) => showPools((await answer.json()).pools)),
    ...live.map((task) => task.poll()),
  ]);
  const { reason } = asked[0];
  byId('pools-news').textContent = reason ? `No figures: ${reason.message}` : 'Asked every second.';
  if (reason instanceof Refused && reason.status === 401) byId('access').open = true;
}

/** Polls for as long as the page is seen, never two at once. */
async function pollForEver() {
  for (;;) {
    if (document.visibilityState === 'visible') await poll();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

byId('language').value = navigator.language.startsWith('zh') ? 'zh-CN' : 'en';
byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  start();
});
byId('topic').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) byId('form').requestSubmit();
});
addEventListener('pagehide', () => tasks.forEach((task) => task.leave()));
pollForEver();
