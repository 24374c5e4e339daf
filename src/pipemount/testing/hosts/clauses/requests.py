"""What a request is answered, in whatever host."""

from __future__ import annotations

import socket

from ..clause import clause, expect, same
from ..client import Reply
from ..pairs import Running

__all__: list[str] = []


def is_problem(running: Running, reply: Reply, status: int, code: str) -> None:
    """Holds an answer to being a problem document (RFC 9457)."""
    same(f"status of {code}", reply.status, status, running)
    same(f"content type of {code}", reply.headers.get("content-type"), "application/problem+json", running)
    same("code", reply.json()["code"], code, running)
    same("status in the document", reply.json()["status"], status, running)


@clause("a pipeline is invoked, and the host's own page answers beside it", group="requests")
def invoke(running: Running) -> None:
    answer = running.invoke("greet", name="Ada")
    same("status", answer.status, 200, running)
    same("outputs", answer.json()["outputs"], {"greeting": "Hello, Ada!"}, running)
    same("the host's page", (running.page().status, running.page().body), (200, b"the host"), running)


@clause("a wrong key and no key are 401 with a challenge, and nothing runs", group="requests")
def keys(running: Running) -> None:
    wrong = running.invoke("greet", {"X-API-Key": "guessed"}, name="Ada")
    is_problem(running, wrong, 401, "unauthenticated")
    expect("www-authenticate" in wrong.headers, f"no challenge in {wrong.headers}")
    key = running.server.headers.pop("X-API-Key")
    try:
        none = running.invoke("greet", name="Ada")
    finally:
        running.server.headers["X-API-Key"] = key
    is_problem(running, none, 401, "unauthenticated")


@clause(
    "what is wrong is told as a problem document: inputs, JSON, media type, path, method, refusal", group="requests"
)
def problems(running: Running) -> None:
    is_problem(running, running.invoke("greet"), 422, "invalid-inputs")
    path = f"{running.ai}/greet/invoke"
    malformed = running.server.request("POST", path, b"{", {"content-type": "application/json"})
    is_problem(running, malformed, 400, "malformed-request")
    typed = running.server.request("POST", path, b"name=Ada", {"content-type": "text/plain"})
    is_problem(running, typed, 415, "unsupported-media-type")
    is_problem(running, running.get("/nothing/here"), 404, "not-found")
    is_problem(running, running.invoke("refuse"), 409, "pipeline-error")
    method = running.get("/greet/invoke")
    is_problem(running, method, 405, "method-not-allowed")
    same("Allow", method.headers.get("allow"), "POST", running)


@clause("HEAD is GET without its body; other methods are 405", group="requests")
def methods(running: Running) -> None:
    get, head = running.get("/greet/info"), running.server.request("HEAD", f"{running.ai}/greet/info")
    same("status", (get.status, head.status, head.body), (200, 200, b""), running)
    same("type", head.headers.get("content-type"), get.headers.get("content-type"), running)
    for method in ("PUT", "PATCH", "DELETE"):
        reply = running.server.request(method, f"{running.ai}/greet/info", b"{}")
        is_problem(running, reply, 405, "method-not-allowed")
        expect("GET" in reply.headers.get("allow", ""), f"Allow of {method}: {reply.headers}", running)


@clause("the request's id is echoed, by answers and by problems", group="requests")
def request_id(running: Running) -> None:
    sent = {"X-Request-ID": "from the caller 1"}
    for reply in (running.invoke("greet", sent, name="Ada"), running.get("/nothing", sent)):
        same("X-Request-ID", reply.headers.get("x-request-id"), "from the caller 1", running)


@clause("the request's context variables are seen inside steps", group="requests")
def context(running: Running) -> None:
    for trace_id in ("4bf92f35", "77aef10c"):
        reply = running.invoke("trace", {"X-Trace": trace_id})
        same("trace id", reply.json().get("outputs"), {"trace_id": trace_id}, running)


@clause(
    "a WebSocket handshake over WSGI is a 501 problem that names the way out",
    group="requests",
    unless=lambda pair: "" if pair.server.kind == "wsgi" else "ASGI servers have WebSockets",
)
def websocket(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.server.port), timeout=20) as connection:
        asked = [f"GET {running.ai}/greet/info HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
        asked += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        asked += [f"X-API-Key: {running.server.headers['X-API-Key']}", "", ""]
        connection.sendall("\r\n".join(asked).encode())
        received = b""
        while b"}" not in received and (chunk := connection.recv(65536)):
            received += chunk
    same("status", received.split(b" ", 2)[1], b"501", running)
    expect(b"application/problem+json" in received, received.decode(errors="replace"), running)
