"""Who takes part: one small module each, which exposes ``app``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["CONTENDERS", "HOSTS", "Contender", "select"]


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table.

    Attributes:
        name: Its module in this package, and what ``--only`` takes.
        title: What the table calls it.
        group: ``limit``, ``hand``, ``peer`` or ``ours``.
        path: Where it takes the request.
        body: Its own envelope, where a library prescribes one; empty for the common bytes.
        expected: A text in its answer, where it does other work than the common one.
        base: The contender that its ratio is taken to as well, besides ``raw``.
        server: What serves it: ``uvicorn``, or ``gthread`` for WSGI.
        peer: The requirements file of its own virtual environment, without the suffix.
        source: Where it imports pipemount from, if not from here.
    """

    name: str
    title: str
    group: str
    path: str = "/invoke"
    body: bytes = b""
    expected: str = ""
    base: str = ""
    server: str = "uvicorn"
    peer: str = ""
    source: Path | None = None

    @property
    def module(self) -> str:
        """What is imported."""
        return "contenders." + self.name.partition("@")[0]

    def at(self, source: Path) -> Contender:
        """The same, with another pipemount."""
        return replace(self, name=f"{self.name}@before", source=source)


MOUNTED = "/ai/invoke"
CUSTOMER = b'{"parameters":{"age":41,"months":3,"charge":79.5,"plan":"pro","region":"north"}}'

CONTENDERS = (
    Contender("raw", "raw ASGI callable", "limit"),
    Contender("raw_mounted", "raw callable in `app.mount`", "limit", MOUNTED),
    Contender("starlette_hand", "Starlette by hand", "hand"),
    Contender("fastapi_async", "FastAPI by hand, `async def`", "hand"),
    Contender("fastapi_def", "FastAPI by hand, `def`", "hand"),
    Contender("fastapi_sklearn", "FastAPI by hand, a scikit-learn model", "hand", body=CUSTOMER, expected="leaves"),
    Contender("fastapi_langgraph", "FastAPI by hand, a LangGraph graph", "hand"),
    Contender(
        "langserve",
        "LangServe",
        "peer",
        body=b'{"input":{"city":"Oslo","temperature":3.0}}',
        peer="langserve",
    ),
    Contender("hayhooks", "Hayhooks", "peer", "/weather/run", peer="hayhooks"),
    Contender("bentoml", "BentoML", "peer", peer="bentoml"),
    Contender("ours_direct", "pipemount, served directly", "ours"),
    Contender("ours_middleware", "pipemount, middleware around FastAPI", "ours", MOUNTED),
    Contender("ours_wrapped", "pipemount, `wrap(app)`", "ours", MOUNTED),
    Contender("ours_mounted", "pipemount, mounted, with its lifespan", "ours", MOUNTED, base="raw_mounted"),
    Contender("ours_mounted_lazy", "pipemount, mounted, no further line", "ours", MOUNTED, base="raw_mounted"),
    Contender("ours_included", "pipemount, included router", "ours", MOUNTED, base="fastapi_async"),
    Contender("ours_sync", "pipemount, sync step, served directly", "ours", base="fastapi_def"),
    Contender(
        "ours_sklearn",
        "pipemount, the scikit-learn model, mounted",
        "ours",
        MOUNTED,
        body=CUSTOMER,
        expected="leaves",
        base="fastapi_sklearn",
    ),
    Contender("ours_langgraph", "pipemount, the LangGraph graph, mounted", "ours", MOUNTED, base="fastapi_langgraph"),
)

HOSTS = (
    CONTENDERS[0],
    Contender("django_hand", "Django by hand, `async def`", "hand"),
    Contender("ours_django_wrapped", "pipemount, `wrap(…)` around Django", "ours", MOUNTED),
    Contender("ours_django", "pipemount, in Django's URLs", "ours", MOUNTED, base="django_hand"),
    Contender("flask_hand", "Flask by hand, gunicorn gthread", "hand", server="gthread"),
    Contender("a2wsgi_flask", "pipemount beside Flask through a2wsgi, gthread", "hand", MOUNTED, server="gthread"),
    Contender("ours_flask", "pipemount on Flask, gthread", "ours", MOUNTED, base="flask_hand", server="gthread"),
    Contender(
        "ours_flask_beside", "pipemount beside Flask, gthread", "ours", MOUNTED, base="a2wsgi_flask", server="gthread"
    ),
    Contender("django_hand_wsgi", "Django by hand, gunicorn gthread", "hand", server="gthread"),
    Contender(
        "ours_django_wsgi",
        "pipemount in Django's URLs, gthread",
        "ours",
        MOUNTED,
        base="django_hand_wsgi",
        server="gthread",
    ),
)
"""Those in Django and Flask, with the limit: a part of the run by itself."""


def select(names: str, among: tuple[Contender, ...] = CONTENDERS) -> tuple[Contender, ...]:
    """The contenders with these comma-separated names, and whatever their ratios are taken to; all for ``""``."""
    if not names:
        return among
    asked = {name.strip() for name in names.split(",")}
    known = {contender.name: contender for contender in among}
    if unknown := asked - set(known):
        raise SystemExit(f"no contender {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    wanted = asked | {"raw"} | {known[name].base for name in asked}
    return tuple(contender for contender in among if contender.name in wanted)
