// The question on a product's page: the answer is on the page while it is given.
import { follow, remembered } from "./follow.js";

const card = document.getElementById("ask");
const [form, refused] = [card.querySelector("form"), card.querySelector("[role=alert]")];
const [stop, told, answer, lost] = ["stop", "told", "answer", "lost"].map((part) => card.querySelector(`[data-${part}]`));
const name = `ask ${card.dataset.slug} ${card.dataset.user}`;

async function ask() {
  const stopping = new AbortController();
  stop.onclick = () => stopping.abort();
  work(true);
  const end = await follow(name, { slug: card.dataset.slug, question: form.elements.question.value }, {
    url: card.dataset.url,
    token: document.querySelector("meta[name=csrf-token]").content,
    stop: stopping.signal,
    begin(anew) {
      told.textContent = anew ? "The shop has lost sight of the question, and the answer begins anew." : "";
      answer.textContent = "";
    },
    write: (text) => answer.append(text),
    lost: () => (lost.hidden = false),
    found: () => (lost.hidden = true),
  });
  if (end.http === 401) return location.reload(); // the session has ended; the page says so
  work(false);
  if (end.status === "succeeded") answer.textContent = end.outputs.answer;
  told.textContent = end.status === "cancelled" ? "Stopped." : "";
  refused.textContent = end.detail ?? "The shop did not answer. Please try again.";
  refused.hidden = ["succeeded", "cancelled"].includes(end.status);
}

function work(on) {
  form.hidden = on;
  stop.hidden = !on;
  answer.setAttribute("aria-busy", on); // what is read aloud is the whole, not each word
  lost.hidden = refused.hidden = true;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
if (remembered(name)) ask(); // the page was loaded again meanwhile
