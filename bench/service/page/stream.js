// One task's events over HTTP. A broken stream is taken up where it broke; a task is never begun twice.

// Waits double from the first to the longest, each drawn evenly below that, so that pages do not come back together.
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const MOST_FAILURES = 8;

// The service sends a sign of life every 15 s: after three that did not come the connection is dead.
const SILENCE_MS = 45_000;

/** An answer other than 200, with the status and what the service says of it. */
export class Refused extends Error {
  constructor(status, code, message, retryAfterS) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }

  /** Whether asking once more may help. */
  get passes() {
    return this.status === 429 || this.status >= 500;
  }
}

/** Asks the service, and gives its answer if it is a good one. */
export async function ask(address, token, options = {}) {
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(address, { ...options, headers, cache: 'no-store', redirect: 'error' });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  const message = error?.message ?? `the service answered ${answer.status}`;
  throw new Refused(answer.status, error?.code ?? '', message, Number(answer.headers.get('Retry-After')) || null);
}

/** Begins a task and yields its events {number, name, data} up to its end, over as many connections as that takes.
 *
 * `task` has `address`, `body`, `signal` (gives it up), `token()` and `waiting(seconds, why)`, which is told of each
 * pause; `task.id` is set as soon as it is known.
 */
export async function* follow(task) {
  const begin = {
    method: 'POST',
    body: JSON.stringify(task.body),
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': randomKey() },
  };
  let last = 0;
  let failures = 0;
  for (;;) {
    let problem = new Error('the connection was lost');
    try {
      const answer = task.id
        ? await ask(`tasks/${task.id}/stream`, task.token(), { headers: { 'Last-Event-ID': last }, signal: task.signal })
        : await ask(task.address, task.token(), { ...begin, signal: task.signal });
      task.id ??= answer.headers.get('X-Task-Id');
      for await (const event of eventsOf(answer.body)) {
        if (event.number <= last) continue;
        last = event.number;
        failures = 0;
        yield event;
        if (event.name === 'complete' || event.name === 'error') return;
      }
    } catch (error) {
      if (task.signal.aborted || (error instanceof Refused && !error.passes)) throw error;
      problem = error;
    }
    failures += 1;
    if (failures > MOST_FAILURES) throw problem;
    const wait = waitMs(failures, problem.retryAfterS);
    task.waiting(wait / 1000, problem instanceof Refused ? problem.message : 'the connection was lost');
    await pause(wait, task.signal);
  }
}

/** Yields the events of a stream whose lines end with \n or \r\n; comments are signs of life. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let fields = {};
  try {
    for (;;) {
      const { done, value } = await beforeSilence(reader.read());
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop();
      for (const line of lines.map((each) => each.replace(/\r$/, ''))) {
        if (line !== '') {
          const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
          fields[name] = name === 'data' && 'data' in fields ? `${fields.data}\n${text}` : text;
        } else if ('data' in fields) {
          yield { number: Number(fields.id), name: fields.event, data: JSON.parse(fields.data) };
          fields = {};
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // of a connection that is lost nothing is left to cancel
  }
}

/** Waits for what is read, but not on a connection that has fallen silent. */
function beforeSilence(reading) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('the service has fallen silent')), SILENCE_MS);
  });
  return Promise.race([reading, silence]).finally(() => clearTimeout(timer));
}

function waitMs(failures, retryAfterS) {
  const drawn = Math.random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
  return Math.max(drawn, (retryAfterS ?? 0) * 1000 * (1 + 0.1 * Math.random()));
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

// crypto.randomUUID is there on loopback and https alone.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
