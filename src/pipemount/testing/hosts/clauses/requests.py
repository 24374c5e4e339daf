"""What a request is answered, in whatever host."""

from __future__ import annotations

from ..clause import clause, same
from ..pairs import Running

__all__: list[str] = []


@clause("a pipeline is invoked, and the host's own page answers beside it", group="requests")
def invoke(running: Running) -> None:
    answer = running.invoke("greet", name="Ada")
    same("status", answer.status, 200, running)
    same("outputs", answer.json()["outputs"], {"greeting": "Hello, Ada!"}, running)
    same("the host's page", (running.page().status, running.page().body), (200, b"the host"), running)
