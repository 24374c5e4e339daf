"""A shop as a server runs it: a factory, a login, a database, pipelines of which some wait for each other."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask_login import LoginManager, UserMixin, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from pipemount import AuthKeys, PipelineApp, StepContext, pipeline, step
from pipemount.bridge import WSGIBridge
from pipemount.bridge.scope import build_scope
from pipemount.flask.answering import answer
from pipemount.types import Message, Receive, Scope, Send

FOLDER = Path(os.environ.get("SHOP_FOLDER", "."))
db = SQLAlchemy()
together = threading.Barrier(4, timeout=20)


def note(what: str) -> None:
    with (FOLDER / "notes").open("a") as notes:
        notes.write(f"{what} {os.getpid()}\n")


@step
def session_of(number: int, context: StepContext) -> int:
    db.session.execute(text("select 1"))
    together.wait()
    return id(db.session())


@pipeline(on_init=lambda: note("init"), on_cleanup=lambda: note("cleanup"))
def sessions() -> Any:
    return {str(number): session_of(number) for number in range(4)}


@step
def name_of(context: StepContext) -> str:
    note("ran")
    return context.principal.name if context.principal else "nobody"


@pipeline
def caller() -> Any:
    return name_of()


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = self.username = name


class Ticker:
    """A stream of two parts; the second one comes when somebody asks for it."""

    def __init__(self) -> None:
        self._go = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(self._part(b"data: one\n\n", more=True))
        await self._go.wait()
        await send(self._part(b"data: two\n\n", more=False))

    def go(self) -> str:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._go.set)
        return "gone"

    def _part(self, body: bytes, *, more: bool) -> Message:
        return {"type": "http.response.body", "body": body, "more_body": more}


pipelines = PipelineApp({"sessions": sessions, "caller": caller}, auth=AuthKeys({"robot": "the key of the robot"}))


def create_app() -> Flask:
    app = Flask("shop")
    app.config.update(SECRET_KEY="not much of a secret", SQLALCHEMY_DATABASE_URI=f"sqlite:///{FOLDER / 'shop.db'}")
    db.init_app(app)
    LoginManager(app).user_loader(User)
    app.add_url_rule("/login/<name>", "login", lambda name: str(login_user(User(name))))
    pipelines.init_app(app)
    ticker = Ticker()
    bridge = WSGIBridge(ticker)

    def stream() -> Response:
        current = request._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        return answer(current, bridge, build_scope(current.environ), app.response_class)

    app.add_url_rule("/stream", "stream", stream)
    app.add_url_rule("/go", "go", ticker.go)
    return app
