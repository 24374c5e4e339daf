// The card "Triage" of a ticket: has the ticket triaged, shows what the assistant writes while it writes it, and then the
// page again, with what is in the database by now.
import { follow, remembered } from "./follow.js";

const card = document.getElementById("triage");
const [form, stop] = [card.querySelector("form"), card.querySelector("[data-stop]")];
const [live, told, note, lost] = ["live", "told", "note", "lost"].map((part) => card.querySelector(`[data-${part}]`));
const refused = card.querySelector("[role=alert]");
const name = `triage ${card.dataset.ticket} ${card.dataset.user}`;

async function triage() {
  const stopping = new AbortController();
  stop.onclick = () => stopping.abort();
  work(true);
  const end = await follow(name, { ticket: Number(card.dataset.ticket) }, {
    url: card.dataset.url,
    token: form.elements.csrfmiddlewaretoken.value,
    stop: stopping.signal,
    begin(anew) {
      told.textContent = anew ? "The desk has lost sight of the triage, and begins it anew." : "The assistant reads the ticket.";
      note.textContent = "";
    },
    write: (text) => note.append(text),
    lost: () => (lost.hidden = false),
    found: () => (lost.hidden = true),
  });
  if (end.status === "succeeded" || end.http === 401) return location.reload(); // 401: the page asks to sign in
  work(false);
  if (end.status === "cancelled") told.textContent = "Stopped.";
  else refused.textContent = end.detail ?? "The desk did not answer. Please try again.";
  refused.hidden = end.status === "cancelled";
}

function work(on) {
  form.hidden = on;
  stop.hidden = !on;
  live.hidden = false;
  lost.hidden = true;
  live.setAttribute("aria-busy", on); // what is read aloud is the whole, not each word
  refused.hidden = true;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  triage();
});
if (remembered(name)) triage(); // the page was loaded again meanwhile

card.querySelector("[data-use]")?.addEventListener("click", (event) => {
  const reply = document.getElementById(event.target.dataset.use);
  reply.value = document.getElementById("suggestion").innerText;
  reply.focus();
});
