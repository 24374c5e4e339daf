// Has a pipeline do something and follows it to its end: through connections that are lost, pages that are loaded again,
// and a server that starts anew.
//
// A job lives in the memory of its server. Whenever it is not clear what has become of one, the page asks for it again with
// the Idempotency-Key of the first time: that is the same job as long as the server knows it, and its text goes on after the
// last event that came. Else it is a new job, and its text begins anew; so nothing is there twice.

const PAUSE = 1000; // milliseconds between two tries
const PATIENCE = 60; // tries in a row that came to nothing
const ENDS = { run_completed: "succeeded", run_failed: "failed", run_cancelled: "cancelled" };
const STOPPING = "draining"; // the code of what the end of a server has cut short

/** What was asked for in this tab and has not ended, so that a page that is loaded again can follow it; or null. */
export function remembered(name) {
  return JSON.parse(sessionStorage.getItem(name));
}

/**
 * Asks for `parameters` and follows what becomes of it.
 *
 * `name` is what the tab remembers it by. `page` has `url` (of the pipeline's `/submit`), `token` (against cross-site
 * requests), `stop` (an `AbortSignal`), and functions: `begin(anew)` before the first text, and before text that begins anew;
 * `write(text)`; `lost()` when the connection is lost, `found()` when it is back.
 *
 * Resolves with `status`: "succeeded" (with `outputs`), "failed", "cancelled", "refused" (with the HTTP status as `http`) or
 * "lost"; `detail` says why.
 */
export async function follow(name, parameters, page) {
  const order = remembered(name) ?? { key: crypto.randomUUID(), parameters };
  sessionStorage.setItem(name, JSON.stringify(order));
  const end = await persist(order, page);
  sessionStorage.removeItem(name);
  return end;
}

async function persist(order, page) {
  const at = { job: null, last: 0 };
  page.stop.addEventListener("abort", () => at.job && cancel(at.job, page));
  for (let tries = 0; tries < PATIENCE && !page.stop.aborted; tries += 1) {
    const answer = await ask(order, page);
    if (answer.job_id) {
      const came = at.last;
      const end = await accompany(at, answer, page);
      if (end) return end;
      if (at.last > came) tries = 0;
    } else if (!at.job || !answer.again) {
      return { status: "refused", http: answer.http, detail: answer.detail };
    }
    page.lost();
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return page.stop.aborted ? { status: "cancelled" } : { status: "lost" };
}

/** The job of `order`, which begins now unless it has begun before; or why there is none, and whether to ask again. */
async function ask(order, page) {
  try {
    const answer = await fetch(page.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": page.token, "Idempotency-Key": order.key },
      body: JSON.stringify({ parameters: order.parameters }),
    });
    const body = await answer.json();
    return answer.ok ? body : { http: answer.status, detail: body.detail, again: [429, 502, 503, 504].includes(answer.status) };
  } catch {
    return { again: true }; // nobody answers, or a proxy that has nobody behind it
  }
}

/** The end of `job`, or null where its stream ended and it did not, or not for good. */
async function accompany(at, job, page) {
  if (at.job?.job_id !== job.job_id) {
    page.begin(at.job !== null);
    Object.assign(at, { job, last: 0 });
    if (page.stop.aborted) cancel(job, page); // while it was asked for
  }
  return (await listen(at, page)) ?? (await look(job));
}

/** Asks the server to stop; what comes of that, the job's stream or its record tells. */
function cancel(job, page) {
  fetch(`${job.poll_url}/cancel`, { method: "POST", headers: { "X-CSRFToken": page.token } }).catch(() => null);
}

/** How the job ended; null where the stream is closed before that. While it can come back, the browser sees to it. */
function listen(at, page) {
  return new Promise((resolve) => {
    const source = new EventSource(at.last ? `${at.job.stream_url}?after=${at.last}` : at.job.stream_url);
    const close = (end) => {
      source.close();
      page.stop.removeEventListener("abort", stopped);
      resolve(end);
    };
    const stopped = () => source.readyState === EventSource.OPEN || close(null); // else the stream tells of the end
    const hear = (event) => {
      const told = JSON.parse(event.data);
      at.last = told.sequence;
      if (told.kind === "delta") page.write(String(told.data.value));
      else if (told.kind === "missed") page.write(" … ");
      else if (told.kind === "run_cancelled") close(null); // by whom, its record says
      else if (told.kind in ENDS) close({ status: ENDS[told.kind], outputs: told.data.outputs, detail: told.data.error });
    };
    for (const kind of ["delta", "missed", ...Object.keys(ENDS)]) source.addEventListener(kind, hear);
    page.stop.addEventListener("abort", stopped);
    source.onopen = () => page.found();
    source.onerror = () => {
      page.lost();
      if (source.readyState === EventSource.CLOSED) close(null); // refused: there is no such job any more, for instance
    };
  });
}

/** How a job ended whose stream did not tell; null where it has not, or where it is to be asked for again. */
async function look(job) {
  try {
    const answer = await fetch(job.poll_url);
    const record = answer.ok ? await answer.json() : {};
    const ended = Object.values(ENDS).includes(record.status) && record.error?.code !== STOPPING;
    return ended ? { status: record.status, outputs: record.outputs, detail: record.error?.detail } : null;
  } catch {
    return null;
  }
}
