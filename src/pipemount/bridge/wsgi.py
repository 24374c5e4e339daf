"""``WSGIBridge``: any ASGI application as a WSGI callable.

::

    application = WSGIBridge(Starlette(routes=[...]), lifespan=True)

The app runs on an event loop in a thread; the WSGI thread waits for it, reads the request's body when the app asks for
it, and hands on the response bit by bit. A pipeline of synchronous steps needs no loop: the WSGI thread drives it.
https://peps.python.org/pep-3333/ · https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from ..errors import HomeLoopError, PipemountError, UnavailableError, UnsupportedError
from ..http.application import Application
from ..http.problems import problem
from ..runtime.draining import observe
from ..runtime.lending import NotInlineError
from ..runtime.loops import Loop, running_loop
from ..types import ASGIApp, Scope
from .answer import Answer
from .body import CutShortError, RequestBody
from .inline import answer_inline
from .own_loop import OwnLoop
from .response import Response
from .scope import build_scope, is_websocket

__all__ = ["WSGIBridge"]

NO_WEBSOCKETS = (
    "a WSGI server has no WebSockets; read event streams over HTTP (server-sent events), "
    "or serve the application with an ASGI server, e.g. uvicorn"
)


class WSGIBridge:
    """A WSGI callable that answers with an ASGI app.

    Args:
        app: Any ASGI application. A ``PipelineApp`` runs on its own home loop; every other one runs on a loop thread of
            the bridge, which the first request of a process starts.
        lifespan: Whether the app's lifespan runs around its requests: started by the first, stopped at exit. A
            ``PipelineApp`` starts and stops by itself.

    May be made before a fork. What the app raises before it answers is raised in the WSGI thread; what it raises later
    breaks the connection, so that nobody takes half a response for a whole one. When the server closes a response that
    is not complete, the app receives ``http.disconnect``, and is cancelled a second later.
    """

    def __init__(self, app: ASGIApp, *, lifespan: bool = False) -> None:
        observe()  # of signals that no server handles, an end is heard only here: requests come in other threads
        self.app = app
        self._own: OwnLoop | None = None
        self._loop: Callable[[], Loop]
        if isinstance(app, Application):
            self._loop = app.lifecycle.serving_loop
        else:
            self._own = OwnLoop(app, lifespan=lifespan)
            self._loop = self._own.loop
        self._answers_inline: Callable[[Scope], bool] = getattr(app, "answers_inline", _never)
        self._has_state = lifespan and self._own is not None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request (PEP 3333)."""
        return self.answer(build_scope(environ), environ, start_response)

    def answer(self, scope: Scope, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As ``__call__``, for hosts that put something of their own into the scope."""
        try:
            return self._answer(scope, _body(environ), start_response)
        except _RefusedError as refused:
            return _explain(refused.why, scope, start_response)
        except CutShortError:
            start_response("400 Bad Request", [("content-type", "text/plain"), ("content-length", "0")])
            return []

    def close(self) -> None:
        """Ends the bridge's own loop and the app's lifespan; done by itself when the process exits."""
        if self._own is not None:
            self._own.close()

    def _answer(self, scope: Scope, body: RequestBody, start_response: StartResponse) -> Iterable[bytes]:
        if self._answers_inline(scope):
            try:
                return answer_inline(self.app, scope, body, start_response)
            except NotInlineError:
                pass  # no place is free: it waits for one on the loop
        loop = self._running()
        if self._has_state and self._own is not None:
            scope["state"] = dict(self._own.state)
        return Answer(self.app, scope, body, loop).start(start_response)

    def _running(self) -> Loop:
        try:
            loop = self._loop()
        except UnavailableError as error:
            raise _RefusedError(error) from error
        if running_loop() is loop:
            raise HomeLoopError("the bridge was called on the loop that it waits for; call it from another thread")
        return loop


class _RefusedError(Exception):
    """The bridge itself refuses: what an app raises is raised as it is."""

    def __init__(self, why: PipemountError) -> None:
        super().__init__(str(why))
        self.why = why


def _never(scope: Scope) -> bool:
    return False


def _body(environ: WSGIEnvironment) -> RequestBody:
    """The request's body, unless the request is one that WSGI cannot carry."""
    try:
        if is_websocket(environ):
            raise UnsupportedError(NO_WEBSOCKETS)
        return RequestBody(environ)
    except PipemountError as error:
        raise _RefusedError(error) from error


def _explain(error: PipemountError, scope: Scope, start_response: StartResponse) -> Iterable[bytes]:
    """Answers what the bridge itself refuses."""
    response = Response(scope["method"])
    status, headers, body = problem(error, instance=scope["raw_path"].decode("ascii", "replace"))
    response.take({"type": "http.response.start", "status": status, "headers": headers})
    start_response(*response.head)
    return [body] if response.has_body else []
