"""Jobs and batches: asked for by one request, known to others; links of them lead there."""

from __future__ import annotations

from typing import Any

from ..clause import clause, expect, same
from ..pairs import Running
from ..process import wait_until
from .requests import is_problem
from .streams import several_processes

__all__: list[str] = []


def submit(running: Running, pipeline: str, way: str = "submit", /, **inputs: Any) -> str:
    """A job that is accepted, by its path."""
    reply = running.server.post(f"{running.ai}/{pipeline}/{way}", {"parameters": inputs})
    same(f"status of {way}", reply.status, 202, running)
    same("poll_url", reply.json()["poll_url"], reply.headers["location"], running)
    return reply.headers["location"]


def ended(running: Running, path: str) -> Any:
    """The record of a job when it has ended."""
    found: list[Any] = []

    def has_ended() -> bool:
        found.append(running.server.get(path).json())
        return found[-1]["finished_at"] is not None

    wait_until(has_ended)
    return found[-1]


@clause("a job is accepted, polled to its end, listed and forgotten", group="jobs", unless=several_processes)
def poll(running: Running) -> None:
    for way in ("submit", "invoke?mode=async"):
        path = submit(running, "greet", way, name="Ada")
        record = ended(running, path)
        same("status", record["status"], "succeeded", running)
        same("outputs", record["outputs"], {"greeting": "Hello, Ada!"}, running)
        listed = running.get("/jobs?status=succeeded&limit=1").json()["jobs"]
        same("the youngest", [one["poll_url"] for one in listed], [path], running)
        same("status of DELETE", running.server.request("DELETE", path).status, 204, running)
        is_problem(running, running.server.get(path), 404, "not-found")


@clause("a job is cancelled, once and again; what has ended well is not", group="jobs", unless=several_processes)
def cancel(running: Running) -> None:
    path = submit(running, "recite", parts=100_000)
    for _ in range(2):
        same("status", running.server.request("POST", f"{path}/cancel").status, 200, running)
    same("status of the job", ended(running, path)["status"], "cancelled", running)
    again = running.server.request("POST", f"{path}/retry")
    same("status of its retry", again.status, 202, running)
    same("status", running.server.request("POST", f"{again.headers['location']}/cancel").status, 200, running)
    done = submit(running, "greet", name="Ada")
    ended(running, done)
    for wish in ("cancel", "retry"):
        is_problem(running, running.server.request("POST", f"{done}/{wish}"), 409, "job-ended")
    is_problem(running, running.server.post(f"{done}/resume", {"answer": 42}), 409, "job-not-suspended")


@clause(
    "a signed token opens one job's record and events to whoever has no key, and nothing else",
    group="jobs",
    unless=several_processes,
)
def token(running: Running) -> None:
    path = submit(running, "greet", name="Ada")
    ended(running, path)
    signed = running.server.post(f"{running.ai}/tokens", {"job_id": path.rpartition("/")[2]})
    same("status of /tokens", signed.status, 201, running)
    urls, carried = signed.json()["urls"], f"?token={signed.json()['token']}"
    key = running.server.headers.pop("X-API-Key")
    try:
        same("status with it", running.server.get(urls["job"]).status, 200, running)
        with running.server.stream(urls["events"]) as stream:
            same("the last event", stream.all_told()[-1].kind, "run_completed", running)
        is_problem(running, running.server.request("DELETE", path + carried), 401, "unauthenticated")
        is_problem(running, running.get(f"/jobs{carried}"), 401, "unauthenticated")
        is_problem(running, running.server.get(urls["job"][:-1]), 401, "unauthenticated")
    finally:
        running.server.headers["X-API-Key"] = key


@clause("a batch has a result for each in its place, the problem of one that fails among them", group="jobs")
def batch(running: Running) -> None:
    sent = [{"name": "Ada"}, {"nobody": 1}, {"name": "Bob"}]
    reply = running.server.post(f"{running.ai}/greet/batch", sent)
    same("status", reply.status, 200, running)
    first, second, third = reply.json()
    greetings = [one["outputs"] for one in (first, third)]
    same("outputs", greetings, [{"greeting": "Hello, Ada!"}, {"greeting": "Hello, Bob!"}], running)
    same("the second", (second["success"], second["status"], second["instance"]), (False, 422, "#/1"), running)


@clause(
    "with an `Idempotency-Key` a run happens once, however often it is sent", group="jobs", unless=several_processes
)
def once(running: Running) -> None:
    sent = {"Idempotency-Key": '"once"'}
    replies = [running.invoke("greet", sent, name="Ada") for _ in range(2)]
    same("status", [reply.status for reply in replies], [200, 200], running)
    same("the second", replies[1].body, replies[0].body, running)
    expect("idempotency-replayed" in replies[1].headers, "it is not told that the first did the work", running)
    is_problem(running, running.invoke("greet", sent, name="Bob"), 422, "idempotency-mismatch")
