"""The host's login stands in front of every route."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from ..clause import clause, expect
from ..client import Reply
from ..pairs import Pair, Running
from .paths import links

__all__: list[str] = []

STRANGER = {"X-User": "mallory"}
SENT_AWAY = (302, 401, 403)


def no_login(pair: Pair) -> str:
    """Why no login of the host stands in front of the pipelines."""
    return "" if pair.form.login else "the host's login does not reach what is put in front of it or mounted"


@clause(
    "a stranger to the host's login gets nothing, at any path by any method", group="the host's login", unless=no_login
)
def login(running: Running) -> None:
    known = [unquote(urlsplit(link).path).removeprefix(running.setup.mount) for link in links(running)]
    odd = ["/nothing", "/docs/swagger-ui.css", "/greet/invoke/", "/pipelines/none/info", "/jobs/1", "//greet/info", ""]
    for path in [*known, *odd]:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            # Without a body: a server that resets a connection whose body nobody reads would lose the answer.
            reply = running.server.request(method, running.ai + path, headers=STRANGER)
            sent_away = reply.status in SENT_AWAY or not from_pipelines(reply)
            expect(sent_away, f"{method} {path} was answered {reply.status}: {reply.body[:200]!r}", running)


def from_pipelines(reply: Reply) -> bool:
    """Whether an answer is one of ours; a host may answer for itself what it does not serve, and OPTIONS."""
    own = reply.status in (301, 307, 308, 400, 404, 405) or (reply.status == 200 and not reply.body)
    return not own or reply.headers.get("content-type") == "application/problem+json"
