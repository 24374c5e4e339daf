// Has a pipeline do something, and follows it to its end: through connections that are lost, pages that are loaded again, and
// servers that are killed and started anew. The job outlives all of that, so a page has nothing to keep but where it is.

const PAUSE = 1000; // milliseconds between two tries
const TRIES = 30; // to have something begun that is refused for now
const SILENCES = 3; // of those, where nobody answers at all
const BUSY = [429, 502, 503, 504]; // not now: all places are taken, the pipelines start, a proxy has nobody behind it
const ENDS = ["run_completed", "run_failed", "run_cancelled"];

/** Asks for `parameters`; resolves with the job (`job_id`), or with why there is none (`http`, `detail`). */
export async function submit(url, parameters, token) {
  const key = crypto.randomUUID(); // sent again with its key, it is the same job
  for (let tries = 0, silences = 0; tries < TRIES && silences < SILENCES; tries += 1) {
    if (tries) await pause();
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRFToken": token, "Idempotency-Key": key },
        body: JSON.stringify({ parameters }),
      });
      if (!BUSY.includes(answer.status)) return { http: answer.status, ...(await answer.json()) };
    } catch {
      silences += 1;
    }
  }
  return { detail: "The desk did not answer. Please try again." };
}

/**
 * Follows the job at `url`; resolves with its record when it has ended, or with the `http` status of who does not show it.
 *
 * `page` has functions: `began(step)` and `ended(step)`; `write(text)`, as a step says it, which says it anew when it has
 * begun once more; `lost()` when the connection is lost, `found()` when it is back.
 */
export async function follow(url, page) {
  for (let last = 0; ; await pause()) {
    last = await listen(url, last, page);
    const record = await look(url);
    if (record.http || record.finished_at) return record;
    page.lost();
  }
}

/** Asks the server to stop the job at `url`; what comes of that, its events tell. */
export function cancel(url, token) {
  fetch(`${url}/cancel`, { method: "POST", headers: { "X-CSRFToken": token } }).catch(() => null);
}

/** The page at `url`, as soon as somebody answers. */
export async function read(url) {
  for (;;) {
    try {
      return await (await fetch(url)).text();
    } catch {
      await pause();
    }
  }
}

/** Hears the events behind number `last` until there are no more; while the browser can come back, it sees to that. */
function listen(url, last, page) {
  return new Promise((resolve) => {
    const source = new EventSource(`${url}/events?after=${last}`);
    const close = () => {
      source.close();
      resolve(last);
    };
    const hear = ({ kind, sequence, step, data }) => {
      last = sequence;
      if (kind === "step_started") page.began(step);
      else if (kind === "step_completed") page.ended(step);
      else if (kind === "delta") page.write(String(data.value));
      else if (kind === "missed") page.write(" … ");
      else close();
    };
    for (const kind of ["step_started", "step_completed", "delta", "missed", ...ENDS])
      source.addEventListener(kind, (event) => hear(JSON.parse(event.data)));
    source.onopen = () => page.found();
    source.onerror = () => {
      page.lost();
      if (source.readyState === EventSource.CLOSED) close(); // refused: what has become of the job, its record tells
    };
  });
}

/** The job's record; the `http` status of a refusal; nothing where nobody answers now. */
async function look(url) {
  try {
    const answer = await fetch(url);
    if (BUSY.includes(answer.status)) return {};
    return answer.ok ? await answer.json() : { http: answer.status };
  } catch {
    return {};
  }
}

function pause() {
  return new Promise((resolve) => setTimeout(resolve, PAUSE));
}
