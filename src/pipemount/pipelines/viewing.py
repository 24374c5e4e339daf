"""From a snapshot to what can be drawn of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..drawing.graph import BRANCH, MAP, GraphEdge, GraphNode, GraphPort, GraphView
from .fingerprint import source_version
from .options import name_of
from .places import underlying
from .snapshot import Branch, Choice, Collected, Constant, Node, Snapshot, Source
from .sources import origins, outline, shown
from .specs import Hook, Hooks, Retry

__all__ = ["view_of"]

DIGITS = 12


def view_of(snapshot: Snapshot) -> GraphView:
    """The nodes, branches and edges of ``snapshot``, maps with what they repeat."""
    groups = Groups(snapshot)
    return GraphView(
        nodes=(
            *(_node(node) for node in snapshot.nodes),
            *(GraphNode(branch.id, branch.text, BRANCH, groups.of(branch)) for branch in snapshot.branches),
        ),
        edges=tuple(dict.fromkeys(_edges(snapshot))),
        inputs=tuple(GraphPort(p.name, not p.required) for p in snapshot.parameters),
        outputs=tuple(GraphPort(r.name, r.optional) for r in snapshot.results),
        settings={"hooks": hooks} if (hooks := _hooks(snapshot.hooks)) else {},
    )


def _node(node: Node) -> GraphNode:
    body = node.body
    return GraphNode(
        id=node.id,
        label=node.step.name,
        kind=MAP if node.fan else node.step.kind,
        group=_parent(node.id),
        version=body.fingerprint if body else node.step.version,
        settings=_settings(node),
        body=view_of(body) if body else None,
    )


def _edges(snapshot: Snapshot) -> Iterator[GraphEdge]:
    for edge in snapshot.edges:
        yield GraphEdge(edge.source, edge.target, edge.label, edge.conditional)
    for branch in snapshot.branches:
        asked = branch.condition.left, branch.condition.right
        about = (origin for source in asked if source is not None for origin in origins(source))
        for source in dict.fromkeys((*about, *branch.needs)):
            yield GraphEdge(source, branch.id, "", bool(branch.decided_by))
        yield from (GraphEdge(branch.id, target, "yes", True) for target in branch.when_true)
        yield from (GraphEdge(branch.id, target, "no", True) for target in branch.when_false)


# ------------------------------------------------------------------------------------------- groups


def _parent(id: str) -> str:
    return id.rpartition("/")[0]


class Groups:
    """Which inlined pipeline a branch belongs to: its id does not tell, but what it decides does."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._branches = {branch.id: branch for branch in snapshot.branches}
        self._members: dict[str, set[str]] = {}
        for node in snapshot.nodes:
            group = _parent(node.id)
            while group:
                self._members.setdefault(group, set()).add(node.id)
                group = _parent(group)

    def of(self, branch: Branch) -> str:
        """The innermost group that all it decides is in, unless it decides whether there is that group."""
        yes, no = self._decided(branch.when_true), self._decided(branch.when_false)
        group = _common(yes | no)
        while group and (self._members[group] <= yes or self._members[group] <= no):
            group = _parent(group)
        return group

    def _decided(self, ids: tuple[str, ...]) -> set[str]:
        """The nodes among ``ids``, and those that branches among them decide."""
        found: set[str] = set()
        waiting = list(ids)
        while waiting:
            id = waiting.pop()
            branch = self._branches.get(id)
            if branch is None:
                found.add(id)
            else:
                waiting += (*branch.when_true, *branch.when_false)
        return found


def _common(ids: set[str]) -> str:
    """The longest path of groups that all of ``ids`` are in."""
    paths = [_parent(id).split("/") for id in ids]
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


# ----------------------------------------------------------------------------------------- settings


def _settings(node: Node) -> Mapping[str, Any]:
    step, fan = node.step, node.fan
    found: dict[str, Any] = {
        "arguments": {binding.parameter: shown(_veiled(binding.source)) for binding in node.bindings},
        "retry": _retry(step.retry),
        "timeout": step.timeout,
        "executor": {"engine": step.executor.engine, **step.executor.settings} if step.executor else None,
        "hooks": _hooks(step.hooks),
        "fan": {"kind": fan.kind, "over": list(fan.over), "max_concurrency": fan.max_concurrency} if fan else None,
    }
    return {name: value for name, value in found.items() if value}


def _retry(retry: Retry | None) -> dict[str, Any] | None:
    if retry is None:
        return None
    told = {each.name: getattr(retry, each.name) for each in fields(Retry)}
    return told | {"on": [kind.__qualname__ for kind in retry.on]}


def _hooks(hooks: Hooks) -> dict[str, str]:
    found = {each.name: getattr(hooks, each.name) for each in fields(Hooks)}
    return {name: _hook(hook) for name, hook in found.items() if hook is not None}


def _hook(hook: Hook) -> str:
    """Its name, and digits that change with its code."""
    if isinstance(hook.target, str):
        return hook.target
    module = getattr(underlying(hook.target), "__module__", "")
    return f"{module}:{name_of(hook.target)} {source_version(hook.target)[:DIGITS]}"


@dataclass(frozen=True, slots=True)
class Veil:
    """Stands for a constant, which may be a secret: the same constants are told by the same digits."""

    digits: str

    def __repr__(self) -> str:
        return f"constant {self.digits}"


def _veiled(source: Source) -> Source:
    if isinstance(source, Constant):
        text = json.dumps(outline(source), default=repr)
        return Constant(Veil(hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]))
    if isinstance(source, Collected):
        return replace(source, items=tuple(map(_veiled, source.items)))
    if isinstance(source, Choice):
        return replace(source, options=tuple((paths, _veiled(option)) for paths, option in source.options))
    return source
