"""Bodies come whole, whatever their length and however they are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from ..clause import clause, same
from ..client import Reply
from ..pairs import Running

__all__: list[str] = []

TWENTY_MB = bytes(range(256)) * (20 * 4096)


@clause("a body of 20 MB comes byte by byte as it was sent", group="bodies")
def large(running: Running) -> None:
    sent = running.server.request("POST", f"{running.ai}/-/digest", TWENTY_MB)
    check_digest(running, sent, TWENTY_MB)


@clause("a text of 20 MB goes through a pipeline", group="bodies")
def large_input(running: Running) -> None:
    text = "0123456789abcdef" * (20 * 65536)
    reply = running.invoke("digest", text=text)
    same("status", reply.status, 200, running)
    expected = {"length": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    same("outputs", reply.json()["outputs"], expected, running)


@clause("a chunked body comes byte by byte as it was sent", group="bodies", unless=lambda pair: pair.server.no_chunks)
def chunked(running: Running) -> None:
    sent = TWENTY_MB[: 1024 * 1024]
    reply = running.server.request("POST", f"{running.ai}/-/digest", _parts(sent))
    check_digest(running, reply, sent)


@clause("a chunked request is run", group="bodies", unless=lambda pair: pair.server.no_chunks)
def chunked_input(running: Running) -> None:
    asked = _parts(json.dumps({"parameters": {"name": "Ada"}}).encode(), size=7)
    reply = running.server.request("POST", f"{running.ai}/greet/invoke", asked, {"content-type": "application/json"})
    same("answer", (reply.status, reply.json().get("outputs")), (200, {"greeting": "Hello, Ada!"}), running)


def _parts(body: bytes, size: int = 10_007) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def check_digest(running: Running, reply: Reply, sent: bytes) -> None:
    """Holds the answer of ``/-/digest`` to what was sent."""
    same("status", reply.status, 200, running)
    same("digest", reply.json(), {"length": len(sent), "sha256": hashlib.sha256(sent).hexdigest()}, running)
