// The Triage button: asks the pipeline's API in the name of who is signed in, and shows the page again.
const card = document.getElementById("triage");
const button = card.querySelector("[data-triage]");
const refused = card.querySelector("[role=alert]");
button.disabled = false; // only a button that works can be pressed

button.addEventListener("click", async () => {
  button.disabled = true;
  refused.hidden = true;
  try {
    const answer = await fetch(card.dataset.url, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value,
      },
      body: JSON.stringify({ parameters: { ticket: Number(card.dataset.ticket) } }),
    });
    if (answer.ok || answer.status === 401) return location.reload(); // 401: the session has ended; the page asks to sign in
    refused.textContent = (await answer.json()).detail; // every failure is a problem document
  } catch {
    refused.textContent = "The desk did not answer. Please try again.";
  }
  refused.hidden = false;
  button.disabled = false;
});

card.querySelector("[data-use]")?.addEventListener("click", (event) => {
  const reply = document.getElementById(event.target.dataset.use);
  reply.value = document.getElementById("suggestion").innerText;
  reply.focus();
});
