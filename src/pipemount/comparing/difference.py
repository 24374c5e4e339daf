"""What changed between two pipelines: for those who call them, and inside.

Both are given as descriptions, the JSON that ``describe --json`` prints and ``/info`` answers, so that a pipeline here,
one that is served and one that was described long ago can all be compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..types import JsonObject
from .schema_difference import Change, schema_changes

__all__ = ["Difference", "InnerChange", "compare"]

What: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class InnerChange:
    """Something that callers do not see.

    Attributes:
        kind: ``pipeline``, ``step``, ``branch`` or ``edge``.
        name: Which one.
        what: What happened to it.
        text: How it changed; empty where it came or went.
    """

    kind: str
    name: str
    what: What
    text: str = ""

    def as_json(self) -> JsonObject:
        """The change as JSON-compatible values."""
        return {"kind": self.kind, "name": self.name, "what": self.what, "text": self.text}


@dataclass(frozen=True, slots=True)
class Difference:
    """All that changed from one pipeline to another."""

    inputs: tuple[Change, ...]
    outputs: tuple[Change, ...]
    inside: tuple[InnerChange, ...]

    @property
    def verdict(self) -> Literal["none", "compatible", "breaking"]:
        """Whether callers of the old pipeline can go on as they do; what is inside does not matter to them."""
        changes = (*self.inputs, *self.outputs)
        if any(change.effect == "breaking" for change in changes):
            return "breaking"
        return "compatible" if changes or self.inside else "none"

    def as_json(self) -> JsonObject:
        """The difference as JSON-compatible values."""
        return {
            "verdict": self.verdict,
            "inputs": [change.as_json() for change in self.inputs],
            "outputs": [change.as_json() for change in self.outputs],
            "inside": [change.as_json() for change in self.inside],
        }


def compare(old: JsonObject, new: JsonObject) -> Difference:
    """What changed from ``old`` to ``new``, two descriptions."""
    return Difference(
        schema_changes(old["input_schema"], new["input_schema"], "input"),
        schema_changes(old["output_schema"], new["output_schema"], "output"),
        tuple(_inside(old, new)),
    )


# ------------------------------------------------------------------------------------------- inside


def _inside(old: JsonObject, new: JsonObject) -> Iterator[InnerChange]:
    name = str(new.get("name", ""))
    before, after = _facts(old), _facts(new)
    for fact in dict.fromkeys((*before, *after)):
        if before.get(fact) != after.get(fact):
            text = f"{fact} {_told(before.get(fact))} → {_told(after.get(fact))}"
            yield InnerChange("pipeline", name, "changed", text)
    yield from _graphs(old.get("graph") or {}, new.get("graph") or {}, "")


def _facts(description: JsonObject) -> Mapping[str, Any]:
    """What is told of the whole pipeline, in an order for readers."""
    graph = description.get("graph") or {}
    framework = description.get("framework") or {}
    return {
        "name": description.get("name"),
        "fingerprint": description.get("fingerprint"),
        "framework": f"{framework.get('name')} {framework.get('version')}",
        "capabilities": description.get("capabilities"),
        "fidelity": graph.get("fidelity"),
        **_settings(graph),
    }


def _graphs(old: JsonObject, new: JsonObject, within: str) -> Iterator[InnerChange]:
    """Nodes and edges; branches are known by what they ask, since their ids are only numbers."""
    before, after = _named(old), _named(new)
    for name in dict.fromkeys((*before, *after)):
        node = after.get(name) or before[name]
        kind = "branch" if node["kind"] == "branch" else "step"
        if name not in after or name not in before:
            yield InnerChange(kind, within + name, "added" if name in after else "removed")
            continue
        if texts := list(_node(before[name], after[name])):
            yield InnerChange(kind, within + name, "changed", "; ".join(texts))
        if before[name].get("body") and node.get("body"):
            yield from _graphs(before[name]["body"], node["body"], f"{within}{name}[]/")
    yield from _edges((old, before), (new, after), within)


def _named(graph: JsonObject) -> dict[str, JsonObject]:
    seen: Counter[str] = Counter()
    found = {}
    for node in graph.get("nodes", ()):
        name = node["id"]
        if node["kind"] == "branch":
            seen[node["label"]] += 1
            count = seen[node["label"]]
            name = f"if {node['label']}" + (f" ({count})" if count > 1 else "")
        found[name] = node
    return found


def _node(old: JsonObject, new: JsonObject) -> Iterator[str]:
    for fact, word in (("label", "calls"), ("kind", "runs as"), ("group", "is in")):
        if (old.get(fact) or "") != (new.get(fact) or ""):
            yield f"{word} {old.get(fact) or 'none'} → {new.get(fact) or 'none'}"
    if (old.get("version") or "") != (new.get("version") or "") and not (old.get("body") and new.get("body")):
        yield "does something else: its code changed"
    before, after = _settings(old), _settings(new)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield f"{name} {_told(before.get(name))} → {_told(after.get(name))}"


def _settings(owner: JsonObject) -> dict[str, Any]:
    """Settings one by one: ``retry.attempts``, ``hooks.on_start``."""
    found: dict[str, Any] = {}
    for name, value in (owner.get("settings") or {}).items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in value.items()}
        else:
            found[name] = value
    return found


def _edges(
    old: tuple[JsonObject, Mapping[str, JsonObject]], new: tuple[JsonObject, Mapping[str, JsonObject]], within: str
) -> Iterator[InnerChange]:
    """Edges between what is in both; the others come and go with their ends."""
    kept = {*(old[1].keys() & new[1].keys()), "inputs", "outputs"}
    before, after = ([edge for edge in _edge_keys(*each) if {edge[0], edge[1]} <= kept] for each in (old, new))
    new_edges = set(after)
    stayed = set(before) & new_edges
    for edge in dict.fromkeys((*before, *after)):
        if edge not in stayed:
            source, target, label, conditional = edge
            words = f" ({label})" * bool(label) + " on some paths" * conditional
            what: What = "added" if edge in new_edges else "removed"
            yield InnerChange("edge", f"{within}{source} → {target}{words}", what)


def _edge_keys(graph: JsonObject, named: Mapping[str, JsonObject]) -> Iterator[tuple[str, str, str, bool]]:
    names = {node["id"]: name for name, node in named.items()}
    for edge in graph.get("edges", ()):
        source = names.get(edge["source"], edge["source"]) or "inputs"
        target = names.get(edge["target"], edge["target"]) or "outputs"
        yield source, target, edge.get("label", ""), bool(edge.get("conditional"))


def _told(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
