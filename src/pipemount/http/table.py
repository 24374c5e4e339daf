"""Which endpoint answers: the app's own routes by one look-up, then what the author put beside them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.routing import Match

from ..errors import MethodNotAllowedError, NotFoundError, PipemountError, UnsupportedError
from ..types import Scope
from .custom import Custom
from .describe import link
from .exchange import Exchange
from .extras import StaticFolder
from .folders import Folder
from .headers import prefers_html
from .routes import PARAMETER, Route, as_template
from .tokens import PLACES

__all__ = ["Answer", "Entry", "Table"]

Answer = Callable[[Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What answers a method at a path, and the permission that it takes (``None``: open to all).

    Attributes:
        takes_token: Whether ``?token=`` may stand for a key.
    """

    answer: Answer
    permission: str | None
    takes_token: bool = False


class Table:
    """The endpoints of an app.

    Args:
        routes: The app's own, with what answers.
        customs: The author's endpoints. At the same method and path they replace the app's.
        folders: The author's files. What is at their path for browsers gives way to ``index.html``.
        sockets: Where WebSockets are; whoever asks there in another way is told so.

    Attributes:
        exact: What answers at a path, by method.
    """

    def __init__(
        self,
        routes: Iterable[tuple[Route, Answer]],
        customs: Sequence[Custom],
        folders: Sequence[StaticFolder],
        sockets: Collection[str] = (),
    ) -> None:
        table: dict[str, dict[str, Entry]] = {}
        for route, answer in routes:
            methods = table.setdefault(route.path, {})
            for method in route.methods:
                signed = route.permission is not None and (route.endpoint, method) in PLACES
                methods[method] = Entry(answer, route.permission, signed)
        for custom in customs:
            own = {method: Entry(custom, custom.permission(method)) for method in custom.methods}
            if custom.path is not None:
                table.setdefault(custom.path, {}).update(own)
            elif custom.template in table:  # where the app's own would be found first
                table[custom.template].update(own)
        self.exact = {path: methods for path, methods in table.items() if PARAMETER not in path}
        self._templates = {path: methods for path, methods in table.items() if PARAMETER in path}
        self._sockets = frozenset(sockets)
        self._customs = tuple(custom for custom in customs if custom.path is None)
        self._folders = tuple(Folder(folder, {path.split("/")[1] for path in table}) for folder in folders)
        places = {folder.given.path for folder in self._folders if folder.has_index}
        self._shared: Mapping[str, Mapping[str, Entry]] = {path: self.exact.pop(path) for path in places & set(table)}

    def find(self, exchange: Exchange, rest: str) -> Entry:
        """What answers. Raises ``NotFoundError`` and ``MethodNotAllowedError``."""
        methods: Mapping[str, Entry] | None = self.exact.get(rest)
        if methods is None:
            methods = self._elsewhere(exchange, rest)
        entry = methods.get(exchange.scope["method"])
        if entry is None:
            raise MethodNotAllowedError(method=exchange.scope["method"], allowed=tuple(methods))
        return entry

    def takes_token(self, rest: str, method: str) -> bool:
        """Whether ``?token=`` may stand for a key there: only where the path names a job."""
        entry = self._templates.get(as_template(rest)[0], {}).get(method)
        return entry is not None and entry.takes_token

    @property
    def places(self) -> tuple[str, ...]:
        """Where the author's endpoints and files are that no single path names; none of them is ``/``."""
        found = [*(custom.place for custom in self._customs), *(folder.given.path for folder in self._folders)]
        return tuple(dict.fromkeys(place for place in found if place not in ("", "/")))

    def knows(self, path: str) -> bool:
        """Whether the app has something at ``path``, for hosts that share their own root with it."""
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
        return (
            path in self.exact
            or path in self._shared
            or as_template(path)[0] in self._templates
            or any(custom.matches(scope, "", path) is not Match.NONE for custom in self._customs)
            or any(folder.given.path != "/" and folder.covers(path) for folder in self._folders)
        )

    def _elsewhere(self, exchange: Exchange, rest: str) -> Mapping[str, Entry]:
        template, value = as_template(rest)
        if (methods := self._templates.get(template)) is not None:
            exchange.params = {"job_id": value}
            return methods
        method = exchange.scope["method"]
        if (custom := self._custom(exchange, rest)) is not None:
            return {method: Entry(partial(custom, rest=rest), custom.permission(method))}
        if method in ("GET", "HEAD") and (rest not in self._shared or prefers_html(exchange.headers.get(b"accept"))):
            for folder in self._folders:
                if folder.covers(rest):
                    return {method: Entry(partial(folder, rest=rest), folder.permission(method))}
        if rest in self._shared:
            return self._shared[rest]
        if rest in self._sockets:
            raise _no_handshake(exchange.scope, rest)
        raise NotFoundError(f"nothing is served at {rest}; GET {link(exchange.base, '/')} lists what is")

    def _custom(self, exchange: Exchange, rest: str) -> Custom | None:
        """The first that answers path and method, else the first that knows the path."""
        found = [(custom.matches(exchange.scope, exchange.base, rest), custom) for custom in self._customs]
        full = (custom for match, custom in found if match is Match.FULL)
        partly = (custom for match, custom in found if match is Match.PARTIAL)
        return next(full, None) or next(partly, None)


def _no_handshake(scope: Scope, rest: str) -> PipemountError:
    """What a plain request is told where a WebSocket is, or a handshake that the server did not take for one."""
    if any(name == b"upgrade" and value.lower() == b"websocket" for name, value in scope["headers"]):
        return UnsupportedError(
            "this server does not speak WebSockets (uvicorn does with `pip install websockets`): "
            "POST …/invoke?mode=stream and GET …/jobs/{job_id}/events tell the same events over HTTP"
        )
    return NotFoundError(f"{rest} is a WebSocket; over HTTP, GET /jobs/{{job_id}}/events has the events of a job")
