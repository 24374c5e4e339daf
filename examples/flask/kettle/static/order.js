// Asks the pipelines about the order on the page, as the customer who is signed in.
"use strict";

const button = document.getElementById("check");
const said = document.getElementById("said");
const token = document.querySelector("meta[name=csrf-token]").content;

button.addEventListener("click", async () => {
  button.disabled = true;
  const answer = await fetch(button.dataset.url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify({ parameters: { order_id: Number(button.dataset.order) } }),
  });
  const body = await answer.json();
  said.textContent = answer.ok ? body.outputs.verdict.message : body.detail;
  button.disabled = false;
});
