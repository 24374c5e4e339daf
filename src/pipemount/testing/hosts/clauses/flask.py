"""What Flask promises its views, in steps too: ``g``, the current application, a database session of one's own."""

from __future__ import annotations

from ..clause import clause, same
from ..pairs import Pair, Running

__all__: list[str] = []


def no_flask(pair: Pair) -> str:
    """Why it has no Flask that takes pipelines in."""
    if pair.host.name != "Flask":
        return "only Flask promises it"
    return "" if pair.form.users else "beside Flask's views there is no request of Flask's"


@clause("`g` and the current application are seen inside steps", group="Flask", unless=no_flask)
def application_context(running: Running) -> None:
    for trace_id in ("4bf92f35", "77aef10c"):
        reply = running.invoke("seen", {"X-Trace": trace_id})
        same("status", reply.status, 200, running)
        same("seen", next(iter(reply.json()["outputs"].values())), {"trace_id": trace_id, "app": "product"}, running)


@clause("four parallel steps have four SQLAlchemy sessions", group="Flask", unless=no_flask)
def sessions(running: Running) -> None:
    reply = running.invoke("sessions")
    same("status", reply.status, 200, running)
    same("different sessions", len(set(reply.json()["outputs"].values())), 4, running)
