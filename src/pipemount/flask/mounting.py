"""The blueprint: each route under its own name, one view for all of them, and what the host is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Request, Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter, ValidationError

from ..bridge import WSGIBridge
from ..bridge.scope import build_scope
from ..errors import ConfigurationError
from ..http.handover import hand_over
from ..http.routes import PARAMETER, as_template
from .answering import answer, let_go
from .callers import CurrentUser, current_principal
from .csrf import exempt, is_checked, new_token
from .environment import FlaskEnvironment
from .mounted import Mounted, remember

if TYPE_CHECKING:
    from ..http.application import Application

__all__ = ["mount"]

REST = "pipemount"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY")

View = Callable[..., Any]
Decorator = Callable[[View], View]

logger = logging.getLogger("pipemount")


def mount(
    pipelines: Application,
    app: Flask,
    prefix: str = "/ai",
    before: Sequence[Decorator] = (),
    *,
    name: str = "pipemount",
    principal: Callable[[], Any] | None = None,
    g: Iterable[str] = (),
) -> None:
    """Registers ``pipelines`` with ``app``; ``PipelineApp.init_app`` tells what the arguments mean."""
    _check(app, before, g)
    mounted = Mounted(pipelines, "/" + prefix.strip("/"), principal, tuple(g))
    app.register_blueprint(_blueprint(mounted, name, app, before))
    remember(app, name, mounted)
    app.context_processor(lambda: {"pipemount_csrf_token": new_token})
    FlaskEnvironment.among(pipelines.environments).add(app, mounted.g)
    CurrentUser.among(pipelines)
    pipelines.observe_shutdown()
    if pipelines.auth is None and principal is None and not before:
        logger.warning(
            "anybody may run %s at %s: there are neither keys nor a login; give PipelineApp(…, auth=AuthKeys(…)), "
            "init_app(…, before=[login_required]) or init_app(…, principal=…)",
            ", ".join(pipelines.services),
            mounted.prefix,
        )


def _check(app: object, before: object, g: object) -> None:
    if not isinstance(app, Flask):
        raise ConfigurationError(
            f"init_app({type(app).__name__}): give a flask.Flask; wrap(app, '/ai') takes ASGI apps"
        )
    if callable(before):
        raise ConfigurationError("init_app(before=…): give a list of decorators, e.g. before=[login_required]")
    if isinstance(g, str):
        raise ConfigurationError(f"init_app(g={g!r}): give a list of names, e.g. g=[{g!r}]")


def _blueprint(mounted: Mounted, name: str, app: Flask, before: Sequence[Decorator]) -> Blueprint:
    """One view, under the host's decorators, for every route.

    Other methods, further slashes, unknown paths and WebSocket handshakes below the prefix are the app's to answer,
    too. At the root of the host, where they may well be the host's own, they are left to it.
    """
    blueprint = Blueprint(name, __name__, url_prefix=mounted.prefix)
    blueprint.url_value_preprocessor(lambda endpoint, values: exempt(app, blueprint))
    blueprint.teardown_request(let_go)
    view = _view(mounted, app)
    for decorate in reversed(before):
        view = decorate(view)
    rooted = mounted.prefix == "/"
    for route in mounted.pipelines.route_table:
        automatic = None if rooted else False
        rule = route.path.replace(PARAMETER, "<job_id>")
        blueprint.add_url_rule(rule, route.name, view, methods=route.methods, provide_automatic_options=automatic)
    if rooted:
        for place in mounted.pipelines.places:
            own = f"{REST}_{len(blueprint.deferred_functions)}_{id(mounted.pipelines)}"
            blueprint.record(partial(_know_own, mounted.pipelines, place, own))
            blueprint.add_url_rule(f"{place}<{own}:rest>", "rest", view, methods=METHODS, merge_slashes=False)
    else:
        blueprint.record(_know_rest)
        blueprint.add_url_rule("", "rest", _rest_view(mounted, app, view), methods=METHODS)
        blueprint.add_url_rule(f"/<{REST}:rest>", "rest", methods=METHODS, merge_slashes=False)
        blueprint.add_url_rule(f"/<{REST}:rest>", "websocket", view, websocket=True, merge_slashes=False)
    return blueprint


class _Rest(BaseConverter):
    """Whatever is left of a path, nothing and slashes included."""

    regex = ".*?"
    part_isolating = False
    weight = 1000  # after all that the host has


def _know_own(pipelines: Application, place: str, name: str, state: BlueprintSetupState) -> None:
    """At the root of the host: what the app has below ``place``, and nothing else."""

    class Own(_Rest):
        def to_python(self, value: str) -> str:
            if not pipelines.knows((place + value).rstrip("/")):
                raise ValidationError
            return value

    state.app.url_map.converters[name] = Own


def _know_rest(state: BlueprintSetupState) -> None:
    state.app.url_map.converters[REST] = _Rest


def _view(mounted: Mounted, app: Flask) -> View:
    """A view that lets the app answer at the place where it is mounted."""
    pipelines, ask, base = mounted.pipelines, mounted.principal, mounted.prefix.rstrip("/")
    bridge = WSGIBridge(pipelines)
    depth = base.count("/") + 1 if "<" in base else 0

    def pipemount(**values: object) -> Response:
        current: Request = request._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        root = "/".join(current.path.split("/", depth)[:depth]) if depth else base
        scope = build_scope(current.environ)
        scope["root_path"] += root
        if not pipelines.goes_by_key(scope):
            user, checked = current_principal(app, ask), is_checked(app, current)
            hand_over(scope, principal=user, guarded=ask is not None, token_checked=checked)
        return answer(current, bridge, scope, app.response_class)

    return pipemount


def _rest_view(mounted: Mounted, app: Flask, view: View) -> View:
    """``view``, and what Flask answers by itself elsewhere: which methods a route has."""
    methods: dict[str, set[str]] = {}
    for route in mounted.pipelines.route_table:
        methods.setdefault(route.path, set()).update(route.methods)

    def rest(**values: object) -> Any:
        path = "/" + str(values.get("rest", "")).strip("/")
        allowed = methods.get(path) or methods.get(as_template(path)[0])
        if request.method == "OPTIONS" and allowed and mounted.pipelines.settings.cors is None:
            response = app.response_class()
            response.allow.update((*allowed, "OPTIONS"))
            return response
        return view(**values)

    return rest
