"""Our part of a host's OpenAPI document, for hosts whose document another library writes.

Documents in, documents out. What the host's has stays as it is; ours is added, under other names where those are taken.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ..types import JsonObject
from .components import PREFIX, SHARED, redirected

__all__ = ["merged"]

METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def merged(
    document: Mapping[str, Any], ours: JsonObject, prefix: str, security: Sequence[Mapping[str, Any]] = ()
) -> JsonObject:
    """``document`` with the paths, components and tags of ``ours``.

    Args:
        document: The host's; it is not changed.
        ours: From ``build_openapi``.
        prefix: Of the mount, in front of our paths.
        security: Requirements of the host, any of which is as good as a key.
    """
    result: JsonObject = copy.deepcopy(dict(document))
    ours = copy.deepcopy(ours)
    _settle_security(ours, security)
    components: JsonObject = result.setdefault("components", {})
    schemas = _beside(components.get("schemas") or {}, ours["components"]["schemas"])
    schemes = _beside(components.get("securitySchemes") or {}, ours["components"].get("securitySchemes", {}))
    ours = redirected(ours, {PREFIX + name: PREFIX + new for name, new in schemas.items()})
    _add_components(components, "schemas", ours, schemas)
    _add_components(components, "securitySchemes", ours, schemes)
    paths: JsonObject = result.setdefault("paths", {})
    taken = {operation.get("operationId") for item in paths.values() for operation in _operations(item)}
    for path, item in ours["paths"].items():
        for operation in _operations(item):
            _fit(operation, taken, schemes)
        paths[prefix.rstrip("/") + path] = item
    _add_tags(result, ours["tags"])
    return result


def _operations(item: Mapping[str, Any]) -> list[JsonObject]:
    return [operation for method, operation in item.items() if method in METHODS]


def _settle_security(ours: JsonObject, security: Sequence[Mapping[str, Any]]) -> None:
    """The requirement of the whole document, said with each operation: the host's document has its own.

    With keys, what is open stays open; without, it is the host alone that asks, for everything.
    """
    keys = ours.pop("security", [])
    for item in ours["paths"].values():
        for operation in _operations(item):
            own: Sequence[JsonObject] = operation.get("security", keys) or ()
            operation["security"] = [*own, *security] if own or not keys else []


def _beside(taken: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str]:
    """What each of ours is called beside the host's; what is the same there keeps its name."""
    return {name: name if taken.get(name, schema) == schema else _free(name, taken) for name, schema in own.items()}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    free = f"{SHARED}_{name}"
    return free if free not in taken else _free(free, taken)


def _add_components(components: JsonObject, kind: str, ours: JsonObject, names: Mapping[str, str]) -> None:
    if names:
        own = ours["components"][kind]
        components[kind] = {**(components.get(kind) or {}), **{new: own[name] for name, new in names.items()}}


def _fit(operation: JsonObject, taken: set[Any], schemes: Mapping[str, str]) -> None:
    while operation["operationId"] in taken:
        operation["operationId"] = f"{SHARED}_{operation['operationId']}"
    taken.add(operation["operationId"])
    operation["security"] = [
        {schemes.get(name, name): scopes for name, scopes in requirement.items()}
        for requirement in operation["security"]
    ]


def _add_tags(result: JsonObject, tags: Sequence[JsonObject]) -> None:
    known = {tag["name"] for tag in result.get("tags") or ()}
    if new := [tag for tag in tags if tag["name"] not in known]:
        result["tags"] = [*(result.get("tags") or ()), *new]
