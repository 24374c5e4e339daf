"""What a pipeline is, as 64 hexadecimal digits that are the same in every process."""

from __future__ import annotations

import hashlib
import inspect
import json
import textwrap
import types
from collections.abc import Callable, Sequence
from typing import Any

from .constants import canonical
from .places import underlying
from .schema import Schema
from .snapshot import Collected, Constant, Hook, Hooks, Node, ResultField, Source

__all__ = ["fingerprint", "source_version"]


def source_version(function: Callable[..., Any]) -> str:
    """SHA-256 of a function's source text, or of its bytecode where there is no source."""
    target = underlying(function)
    try:
        text = textwrap.dedent(inspect.getsource(target))
    except (OSError, TypeError):
        code = getattr(target, "__code__", None)
        text = json.dumps(_bytecode(code)) if code else f"{target!r}".partition(" at 0x")[0]
    return _digest(text)


def _bytecode(code: types.CodeType) -> list[Any]:
    constants = [_bytecode(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    return [code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]


def _constant(value: object) -> str:
    return f"{{{', '.join(sorted(map(repr, value)))}}}" if isinstance(value, frozenset) else repr(value)


def fingerprint(
    *,
    name: str,
    nodes: Sequence[Node],
    results: Sequence[ResultField],
    shape: str,
    schemas: Sequence[Schema],
    hooks: Hooks,
) -> str:
    """SHA-256 over canonical JSON of topology, schemas, hooks and step versions."""
    parts = {
        "name": name,
        "nodes": [_node(node) for node in nodes],
        "results": [[result.name, _source(result.source), result.optional] for result in results],
        "shape": shape,
        "schemas": [schema.json_schema() for schema in schemas],
        "hooks": _hooks(hooks),
    }
    return _digest(json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _node(node: Node) -> list[Any]:
    step = node.step
    retry = step.retry
    policy = [retry.attempts, retry.delay, retry.backoff, retry.max_delay, retry.jitter] if retry else None
    bindings = [[b.parameter, _source(b.source), b.coerce is not None] for b in node.bindings]
    return [node.id, step.name, step.version, step.kind, step.generator, policy, step.timeout, bindings, node.after]


def _source(source: Source) -> list[Any]:
    if isinstance(source, Constant):
        return ["constant", canonical(source.value)]
    if isinstance(source, Collected):
        return [source.kind, [_source(item) for item in source.items], canonical(source.keys)]
    where = [
        type(source).__name__,
        getattr(source, "name", ""),
        getattr(source, "node", ""),
        getattr(source, "index", None),
    ]
    return [*where, [[access.kind, access.key] for access in source.path]]


def _hooks(hooks: Hooks) -> dict[str, str]:
    found = {name: getattr(hooks, name) for name in Hooks.__dataclass_fields__}
    return {name: _hook(hook) for name, hook in found.items() if hook is not None}


def _hook(hook: Hook) -> str:
    return hook.target if isinstance(hook.target, str) else source_version(hook.target)
