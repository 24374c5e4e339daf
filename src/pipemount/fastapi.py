"""FastAPI: the app's routes as an ``APIRouter``, under the host's dependencies and in the host's OpenAPI document.

::

    app.include_router(pipelines.router(), prefix="/ai", dependencies=[Depends(login)])

Every route is an ``APIRoute`` or an ``APIWebSocketRoute``, because FastAPI applies dependencies to nothing else, and
hands the untouched request over to the app: FastAPI reads no body and validates no parameter of ours.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, ClassVar, ForwardRef

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from fastapi.openapi.models import APIKey, HTTPBase
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from starlette.routing import Match

from .http.application import Application
from .http.components import PREFIX, component_schemas, redirected, references
from .http.handover import as_principal, hand_over
from .http.openapi import SECURITY_SCHEMES, operation, operation_id, security_of
from .http.paths import child_scope, locate
from .http.routes import PARAMETER, Route
from .types import JsonObject, Message, Principal, Receive, Scope, Send

__all__ = ["router"]

REST = "pipemount_rest"

Endpoint = Callable[..., Awaitable[Response]]


def router(pipelines: Application, *, principal: Callable[..., Any] | None = None, **options: Any) -> APIRouter:
    """The routes of ``pipelines`` for ``FastAPI.include_router``.

    Args:
        pipelines: The app. It starts and stops with the host, on the host's loop.
        principal: A FastAPI dependency. What it returns is who calls: a ``Principal``, or any user object, who then may
            invoke, read and cancel; it is called by its ``username``, ``sub``, ``identity`` or ``id``, attribute or
            key. ``None`` vouches for nobody.
        **options: As for ``fastapi.APIRouter``.

    Unknown paths below the prefix are answered by the app, as are methods that a route does not have. Included
    without a prefix, the router takes only paths that the app knows and leaves the others to the host.

    In the host's document our models are named ``<pipeline>_<Model>``. Two apps in one host may serve the same
    pipeline; different pipelines of one name would share names there, so give them different ones.
    """
    own = options.pop("lifespan", None)
    lifespan = pipelines.lifespan.around(own) if own else pipelines.lifespan
    result = APIRouter(lifespan=lifespan, **options)
    # FastAPI asks its routes one after the other: what is called most comes first.
    for route in sorted(pipelines.route_table, key=lambda route: route.endpoint != "invoke"):
        if route.documented:
            _add_route(result, route, pipelines, principal)
    _add_rest(result, pipelines, principal)
    for route in pipelines.sockets:
        _add_socket(result, route.path, pipelines, principal)
    return result


def _add_route(result: APIRouter, route: Route, pipelines: Application, principal: Callable[..., Any] | None) -> None:
    schemes = pipelines.auth.accept if pipelines.auth and principal is None else ()
    there = {other.endpoint for other in pipelines.route_table if other.documented}
    described = operation(route, pipelines.pipelines, schemes, there)
    result.add_api_route(
        route.path,
        _endpoint(pipelines, principal, route.path),
        methods=[route.methods[0]],
        name=operation_id(route),
        summary=described["summary"],
        description=described.get("description"),
        tags=described["tags"],
        dependencies=[Depends(_Key(scheme)) for scheme in security_of(route, schemes)],
        response_class=Response,
        response_model=None,
        openapi_extra={key: described[key] for key in ("parameters", "requestBody", "responses") if key in described},
    )


def _add_rest(result: APIRouter, pipelines: Application, principal: Callable[..., Any] | None) -> None:
    """Everything else: aliases, assets, HEAD, other methods, unknown paths.

    Without methods a route matches them all, and FastAPI's document lists no operation for it, but the models that it
    answers: that is how ours get into the host's components.
    """
    schemas = component_schemas(pipelines.pipelines, pipelines.settings)
    models: Any = _stand_ins(schemas)
    result.add_api_route(
        f"/{{{REST}:path}}",
        _endpoint(pipelines, principal, None),
        methods=[],
        operation_id=REST,
        response_class=Response,
        response_model=tuple[models],
        route_class_override=_rest_class(pipelines),
    )


def _add_socket(result: APIRouter, path: str, pipelines: Application, principal: Callable[..., Any] | None) -> None:
    """A WebSocket. What stands before it must take a ``WebSocket`` or an ``HTTPConnection``, as FastAPI asks."""

    async def connect(websocket: WebSocket, user: Any = None) -> None:
        scope = websocket.scope
        base, located = locate(scope)
        child = child_scope(scope, base + located.removesuffix(path), path)
        if user is not None:
            hand_over(child, principal=as_principal(user, "fastapi"))
        await pipelines(child, websocket.receive, websocket.send)

    async def connect_user(websocket: WebSocket, user: Annotated[Any, Depends(principal)]) -> None:
        await connect(websocket, user)

    async def connect_anybody(websocket: WebSocket) -> None:
        await connect(websocket)

    result.add_api_websocket_route(path, connect_anybody if principal is None else connect_user)


def _rest_class(pipelines: Application) -> type[APIRoute]:
    class Rest(APIRoute):
        """Matches the prefix itself too, with no slash behind it; without a prefix only what the app knows."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            match, child = super().matches(scope)
            if match is Match.NONE and scope["type"] == "http" and not scope["path"].endswith("/"):
                match, child = super().matches({**scope, "path": scope["path"] + "/"})
            if match is not Match.NONE and not _is_ours(scope, child["path_params"][REST], pipelines):
                return Match.NONE, {}
            return match, child

    return Rest


def _is_ours(scope: Scope, rest: str, pipelines: Application) -> bool:
    path = locate(scope)[1]
    return path != "/" + rest.rstrip("/") or pipelines.knows(path)


# --------------------------------------------------------------------------------------- handing over


def _endpoint(pipelines: Application, principal: Callable[..., Any] | None, path: str | None) -> Endpoint:
    """What FastAPI calls; ``path`` is the route's own, ``None`` for the one that takes the rest."""

    async def answer(request: Request) -> Response:
        return _Handover(pipelines, request, path)

    async def answer_user(request: Request, user: Annotated[Any, Depends(principal)]) -> Response:
        return _Handover(pipelines, request, path, as_principal(user, "fastapi"))

    return answer if principal is None else answer_user


class _Handover(Response):
    """A response that lets the app answer, at the mount that the router was included at."""

    def __init__(
        self, pipelines: Application, request: Request, path: str | None, principal: Principal | None = None
    ) -> None:
        super().__init__()
        self._pipelines, self._request, self._path, self._principal = pipelines, request, path, principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        base, located = locate(scope)
        rest = "/" + scope["path_params"][REST].rstrip("/") if self._path is None else _filled_in(self._path, scope)
        if located.endswith(rest.rstrip("/")):
            slash = "/" if scope["path"].endswith("/") and rest != "/" else ""  # what a folder's page is found by
            child = child_scope(scope, base + located.removesuffix(rest).rstrip("/"), rest + slash)
        else:  # a slash came as %2F: FastAPI took the path for one that it is not
            child = child_scope(scope, base, located)
        if scope["path"].endswith("/") and not child["path"].endswith("/"):
            child["path"] += "/"
        if self._principal is not None:
            hand_over(child, principal=self._principal)
        await self._pipelines(child, _replay(self._request, receive), send)
        if self.background is not None:
            await self.background()


def _filled_in(path: str, scope: Scope) -> str:
    return path.replace(PARAMETER, str(scope["path_params"].get("job_id")))


def _replay(request: Request, receive: Receive) -> Receive:
    """``receive``, or if a dependency of the host has read the body: the body once more, then ``receive``."""
    body: bytes | None = getattr(request, "_body", None)
    if body is None:
        return receive
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again


class _Key(SecurityBase):
    """Tells FastAPI's document how a key may be presented. The app itself checks it."""

    def __init__(self, scheme: str) -> None:
        described = SECURITY_SCHEMES[scheme]
        self.scheme_name = f"pipemount_{scheme.replace('-', '_')}"
        self.model = (HTTPBase if described["type"] == "http" else APIKey).model_validate(described)

    async def __call__(self) -> None:
        return None


# ----------------------------------------------------------------------------------------- components


class _StandIn(BaseModel):
    """A model whose JSON Schema is given; its fields are the other models that the schema refers to.

    Pydantic names and collects models, so only as models can our schemas stand in FastAPI's document without
    touching how it names the host's own.
    """

    given: ClassVar[JsonObject] = {}
    targets: ClassVar[Mapping[str, str]] = {}  # by field

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        generated = handler(core_schema)
        resolved = handler.resolve_ref_schema(generated)
        actual = {target: resolved["properties"][field]["$ref"] for field, target in cls.targets.items()}
        resolved.clear()
        resolved.update(redirected(cls.given, actual))
        return generated


_known: dict[str, type[_StandIn]] = {}  # of equal schemas, so that two apps in one host share their problems' models


def _stand_ins(schemas: Mapping[str, JsonObject]) -> tuple[type[_StandIn], ...]:
    """A stand-in for each of ``schemas``."""
    aliases = {PREFIX + name: f"model_{number}" for number, name in enumerate(schemas)}
    models: dict[str, type[_StandIn]] = {}
    for name, schema in schemas.items():
        key = json.dumps([name, _closure(name, schemas)], sort_keys=True)
        if key not in _known:
            _known[key] = _stand_in(name, schema, aliases)
        models[aliases[PREFIX + name]] = _known[key]
    for model in models.values():
        model.model_rebuild(_types_namespace=models)
    return tuple(models.values())


def _stand_in(name: str, schema: JsonObject, aliases: Mapping[str, str]) -> type[_StandIn]:
    targets = {f"to_{number}": target for number, target in enumerate(sorted(references(schema)))}
    fields: dict[str, Any] = {field: (ForwardRef(aliases[target]), ...) for field, target in targets.items()}
    model = create_model(name, __base__=_StandIn, __module__=__name__, **fields)
    model.given, model.targets = schema, targets
    return model


def _closure(name: str, schemas: Mapping[str, JsonObject]) -> dict[str, JsonObject]:
    """The schema called ``name`` and all that it leads to."""
    found, new = {name: schemas[name]}, {name}
    while new:
        new = {target.removeprefix(PREFIX) for one in new for target in references(schemas[one])} - found.keys()
        found |= {one: schemas[one] for one in new}
    return found
