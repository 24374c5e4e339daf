"""What a pipeline is, as 64 hexadecimal digits that are the same in every process."""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Callable, Sequence
from typing import Any

from .places import underlying
from .schema import Schema
from .snapshot import Branch, Node, ResultField
from .sources import outline
from .specs import Hook, Hooks

__all__ = ["fingerprint", "source_version"]


def source_version(function: Callable[..., Any]) -> str:
    """SHA-256 of what a function does: of its bytecode, so that no file is read and comments change nothing."""
    target = underlying(function)
    code = getattr(target, "__code__", None)
    return _digest(json.dumps(_bytecode(code)) if code else f"{target!r}".partition(" at 0x")[0])


def _bytecode(code: types.CodeType) -> list[Any]:
    constants = [_bytecode(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    return [code.co_name, code.co_code.hex(), constants, list(code.co_names), list(code.co_varnames)]


def _constant(value: object) -> str:
    return f"{{{', '.join(sorted(map(repr, value)))}}}" if isinstance(value, frozenset) else repr(value)


def fingerprint(
    *,
    name: str,
    nodes: Sequence[Node],
    branches: Sequence[Branch],
    results: Sequence[ResultField],
    shape: str,
    schemas: Sequence[Schema],
    hooks: Hooks,
) -> str:
    """SHA-256 over canonical JSON of topology, schemas, hooks and step versions."""
    parts = {
        "name": name,
        "nodes": [_node(node) for node in nodes],
        "branches": [_branch(branch) for branch in branches],
        "results": [[result.name, outline(result.source), hex(result.paths)] for result in results],
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
    bindings = [[b.parameter, outline(b.source), b.coerce is not None] for b in node.bindings]
    return [
        *(node.id, step.name, step.version, step.kind, step.generator, policy, step.timeout, bindings, node.after),
        _fan(node),
        hex(node.paths),
    ]


def _fan(node: Node) -> list[Any] | None:
    if node.fan is None:
        return None
    return [node.fan.kind, node.fan.over, node.fan.max_concurrency, node.body.fingerprint if node.body else None]


def _branch(branch: Branch) -> list[Any]:
    condition = branch.condition
    right = outline(condition.right) if condition.right is not None else None
    return [
        branch.id,
        condition.operator,
        outline(condition.left),
        right,
        hex(branch.paths_true),
        hex(branch.paths_false),
    ]


def _hooks(hooks: Hooks) -> dict[str, str]:
    found = {name: getattr(hooks, name) for name in Hooks.__dataclass_fields__}
    return {name: _hook(hook) for name, hook in found.items() if hook is not None}


def _hook(hook: Hook) -> str:
    return hook.target if isinstance(hook.target, str) else source_version(hook.target)
