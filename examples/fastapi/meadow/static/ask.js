// Follows an answer while it is written. A question has a key: under the same key the desk finds the answer that it has
// begun, after a lost connection, after a reload, and after an end of its server. What that was writing is written anew.
"use strict";

const form = document.getElementById("ask");
const question = document.getElementById("question");
const ask = form.querySelector("button");
const cancel = document.getElementById("cancel");
const said = document.getElementById("said");
const progress = document.getElementById("progress");
const answer = document.getElementById("answer");

const KINDS = ["step_started", "delta", "progress", "missed", "reconnect", "run_completed", "run_failed", "run_cancelled"];
const BUSY = [429, 502, 503, 504]; // not now: too many ask, or the desk is being restarted
const LONGEST = 10_000; // milliseconds between two attempts
const memory = `question ${location.pathname}`; // survives a reload of this tab

let asked = null; // what the reader wants to know: { key, question, cancelled }
let job = null; // who answers that: { job, events, cancel }, the last two as links with a token
let after = 0; // the number of the last event of the job that was read
let anew = true; // whether the next word is the first one
let failures = 0; // in a row
let lost = ""; // why the connection was lost, or will be
let source = null;
let timer = 0;

function begin(wish) {
  asked = wish;
  job = null;
  failures = 0;
  sessionStorage.setItem(memory, JSON.stringify(wish));
  answer.replaceChildren();
  answer.setAttribute("aria-busy", "true"); // a screen reader waits for the end
  ask.disabled = true;
  cancel.hidden = cancel.disabled = false;
  say("The desk is asked …");
  find();
}

// Has the desk begin the answer, or find it.
async function find() {
  const wish = asked;
  if (wish.cancelled) return end("Cancelled."); // and then lost
  let reply, told;
  try {
    reply = await fetch(form.dataset.answers, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": wish.key },
      body: JSON.stringify({ question: wish.question }),
    });
    told = await reply.json();
  } catch {
    return later("The desk cannot be reached.");
  }
  if (BUSY.includes(reply.status)) return later("The desk is busy.");
  if (reply.status === 401) return end("You have been signed out. Sign in and come back: your question is kept.", true);
  if (!reply.ok) return end(typeof told.detail === "string" ? told.detail : "The desk cannot answer that.");
  if (told.job !== job?.job) after = 0; // another one: from the start
  job = told;
  follow();
  if (wish.cancelled) stop();
}

function follow() {
  source = new EventSource(after ? `${job.events}&after=${after}` : job.events);
  for (const kind of KINDS) source.addEventListener(kind, hear);
  source.onopen = () => {
    lost = "The connection was lost.";
    say(asked.cancelled ? "Cancelling …" : "The answer is being written …");
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) later("The answer was interrupted."); // the desk knows it no more
    else say(`${lost} Coming back …`); // the browser does that, with Last-Event-ID
  };
}

function hear({ type, data, lastEventId }) {
  const { data: event, step, reason } = JSON.parse(data);
  if (type === "reconnect" && reason === "draining") lost = "The desk is being restarted.";
  if (type === "reconnect" || Number(lastEventId) <= after) return;
  after = Number(lastEventId);
  failures = 0;
  if (type === "step_started" && step === "write") anew = true;
  if (type === "delta") {
    if (anew) answer.replaceChildren();
    anew = false;
    answer.append(event.value);
  }
  if (type === "missed") answer.append(" […] ");
  if (type === "progress") show(event);
  if (type === "run_failed") end(event.error);
  if (type === "run_cancelled") end("Cancelled.");
  if (type === "run_completed") {
    if (answer.textContent !== event.outputs.answer) answer.textContent = event.outputs.answer;
    end("This is the whole answer.");
  }
}

function later(why) {
  source?.close();
  say(`${why} Trying again …`);
  timer = setTimeout(find, Math.min(LONGEST, 500 * 2 ** failures++) * (0.5 + Math.random() / 2));
}

function end(words, kept = false) {
  source?.close();
  clearTimeout(timer);
  if (!kept) sessionStorage.removeItem(memory);
  asked = source = null;
  answer.setAttribute("aria-busy", "false");
  ask.disabled = false;
  cancel.hidden = progress.hidden = true;
  say(words);
}

function say(words) {
  if (said.textContent !== words) said.textContent = words;
}

function show({ done, total }) {
  progress.hidden = false;
  progress.max = total;
  progress.value = done;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID() is there over HTTPS only
  const key = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  begin({ key: `"${key}"`, question: question.value });
});

cancel.addEventListener("click", () => {
  asked.cancelled = cancel.disabled = true;
  say("Cancelling …");
  if (job) stop();
});

function stop() { // that it has stopped is an event
  fetch(job.cancel, { method: "POST" }).catch(() => asked && end("The desk cannot be reached. You follow it no more."));
}

const kept = JSON.parse(sessionStorage.getItem(memory));
if (kept) {
  question.value = kept.question;
  begin(kept);
}
