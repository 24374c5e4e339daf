// Shows what is done of a training while it is done, and then what came of it. Whatever is lost meanwhile, the connection or
// the server: the desk has the training, and this page asks for it again.
"use strict";

const KINDS = ["step_started", "step_completed", "progress", "data", "run_completed", "run_failed", "run_cancelled"];
const PAUSE = 1000; // milliseconds between two attempts

async function attend(section) {
  const said = document.getElementById("said");
  const rows = [...section.querySelectorAll("[data-candidate]")]; // the items of the step that tries them, in their order
  const underWay = said.textContent;
  let last = 0; // the number of the last event that was heard

  function hear({ kind, sequence, step, data }) {
    last = sequence;
    const item = /\[(\d+)\]$/.exec(step);
    if (item) return showRow(rows[item[1]], kind, data);
    const line = section.querySelector(`[data-step="${step}"]`);
    if (kind === "step_completed" && line) line.className = "done";
  }

  function showRow(row, kind, data) {
    const progress = row.querySelector("progress");
    if (kind === "step_started") progress.value = 0;
    if (kind === "progress") progress.value = data.done / data.total;
    if (kind === "step_completed") progress.value = 1;
    if (kind === "data") row.cells[2].textContent = `${percent(data.value.accuracy)} % ± ${percent(data.value.spread)}`;
  }

  // Hears what comes; whether that was the end.
  function listen(url) {
    return new Promise((resolve) => {
      const source = new EventSource(last ? `${url}&after=${last}` : url);
      const close = (ended) => {
        source.close();
        resolve(ended);
      };
      const heard = (event) => {
        hear(JSON.parse(event.data));
        if (event.type.startsWith("run_")) close(true);
      };
      for (const kind of KINDS) source.addEventListener(kind, heard);
      source.onopen = () => (said.textContent = underWay);
      source.onerror = () => {
        said.textContent = "The connection was lost. Coming back …"; // the browser sees to that, unless it was refused
        if (source.readyState === EventSource.CLOSED) close(false);
      };
    });
  }

  for (;;) {
    const found = await look(section.dataset.record);
    if (found.refused) return location.reload(); // the page says why
    if (found.ended && (await show(section))) return;
    if (found.ended || !found.events || !(await listen(found.events))) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

// Whether it has ended, and where its events are; nothing where the desk does not answer now.
async function look(url) {
  try {
    const answer = await fetch(url);
    if (answer.ok) return await answer.json();
    return { refused: answer.status === 401 || answer.status === 404 };
  } catch {
    return {};
  }
}

// Has the page show what the desk shows of it by now; whether the desk has answered.
async function show(section) {
  try {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    section.replaceWith(page.getElementById("training"));
    return true;
  } catch {
    return false;
  }
}

function percent(share) {
  return (100 * share).toFixed(1);
}

const section = document.getElementById("training");
if (section.dataset.record) attend(section);
