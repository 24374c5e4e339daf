// The card "Triage" of a ticket: has the ticket triaged, shows what is done and what the assistant writes while it writes it,
// and then what is in the database. The address of the page says which triage it shows.
import { cancel, follow, read, submit } from "./follow.js";

const STEPS = {
  read: "Reads the ticket",
  tell_language: "Tells the language",
  find_topic: "Finds the queue",
  judge: "Judges whether it can wait",
  soothe: "Chooses a reply",
  suggest: "Chooses a reply",
  explain: "Writes a note",
  file: "Writes it all down",
};

/** Has `card` do what its buttons say, and go on with the triage that the address names. */
function attend(card) {
  const [form, stop, refused] = ["form", "[data-stop]", "[role=alert]"].map((part) => card.querySelector(part));
  const [live, told, steps, note, lost] = ["live", "told", "steps", "note", "lost"].map((part) =>
    card.querySelector(`[data-${part}]`),
  );
  const token = form.elements.csrfmiddlewaretoken.value;

  async function begin() {
    work(true);
    const job = await submit(card.dataset.submit, { ticket: Number(card.dataset.ticket) }, token);
    if (!job.job_id) return end(job);
    history.replaceState(null, "", `?job=${job.job_id}`); // by which it is found again
    watch(job.job_id);
  }

  async function watch(job) {
    const url = `${card.dataset.jobs}/${encodeURIComponent(job)}`;
    stop.onclick = () => cancel(url, token);
    steps.replaceChildren();
    work(true);
    told.textContent = "The ticket is triaged.";
    end(await follow(url, {
      began(step) {
        entry(step).className = "";
        if (step === "explain") note.textContent = "";
      },
      ended: (step) => (entry(step).className = "done"),
      write: (text) => note.append(text),
      lost: () => (lost.hidden = false),
      found: () => (lost.hidden = true),
    }));
  }

  async function end({ status, http, detail, error }) {
    if (http === 401) return location.reload(); // asks to sign in
    if (status === "succeeded") return show();
    work(false);
    live.hidden = !status;
    if (status === "cancelled") told.textContent = "Stopped.";
    else refused.textContent = http === 404 ? "There is no such triage." : detail ?? error?.detail;
    refused.hidden = status === "cancelled";
  }

  function work(on) {
    form.hidden = on;
    stop.hidden = !on;
    live.hidden = false;
    lost.hidden = true;
    live.setAttribute("aria-busy", on); // what is read aloud is the whole, not each word
    refused.hidden = true;
  }

  /** The line of a step; one step has one, however often it begins. */
  function entry(step) {
    const found = steps.querySelector(`[data-step="${step}"]`);
    if (found) return found;
    const line = Object.assign(document.createElement("li"), { textContent: STEPS[step] });
    line.dataset.step = step;
    steps.append(line);
    return line;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  card.querySelector("[data-use]")?.addEventListener("click", (event) => {
    const reply = document.getElementById(event.target.dataset.use);
    reply.value = document.getElementById("suggestion").innerText;
    reply.focus();
  });
  const job = new URLSearchParams(location.search).get("job");
  if (job) watch(job);
}

/** What the desk knows of the ticket by now, in the place of what it knew; a reply that somebody writes meanwhile stays. */
async function show() {
  history.replaceState(null, "", location.pathname);
  const page = new DOMParser().parseFromString(await read(location.href), "text/html");
  for (const part of [".badges", "aside"]) document.querySelector(part).replaceWith(page.querySelector(part));
  attend(document.getElementById("triage"));
}

attend(document.getElementById("triage"));
