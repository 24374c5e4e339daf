"""Descriptions of pipelines: where they are from, and how a person reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exits import CommandError
from .printing import console, print_members, print_table
from .schemas import members
from .targets import compile_target, is_url

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline
    from ..types import JsonObject

__all__ = ["described", "description_of", "print_summary"]


def described(compiled: CompiledPipeline) -> JsonObject:
    """What ``describe`` tells, in the members that a server's ``/info`` has."""
    from ..http.describe import description

    return description(compiled)


def description_of(target: str | None, key: str | None = None) -> JsonObject:
    """The description of a pipeline here, of one at a URL, or one that was saved.

    Raises:
        CommandError: There is none.
    """
    if target is not None and is_url(target):
        from .remote import fetch_description

        return fetch_description(target, key)
    if target is not None and target.endswith(".json"):
        return _saved(Path(target))
    return described(compile_target(target))


def _saved(path: Path) -> JsonObject:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise CommandError(f"{path} is not JSON; write it with pipemount describe --json") from None
    if not isinstance(found, dict) or not all(isinstance(found.get(each), dict) for each in SCHEMAS):
        raise CommandError(f"{path} describes no pipeline; write it with pipemount describe --json")
    return found


SCHEMAS = ("input_schema", "output_schema")


# ---------------------------------------------------------------------------------------- as tables


def print_summary(description: JsonObject) -> None:
    """Name, fingerprint, steps, branches, inputs and outputs as tables."""
    print_table(("pipeline", "fingerprint"), [(str(description.get("name")), str(description.get("fingerprint")))])
    console().print()
    graph = description.get("graph") or {}
    _print_rows(("step", "runs as", "after", "details"), list(_steps(graph, "")))
    _print_rows(("branch", "asks", "yes", "no"), list(_branches(graph, "")))
    print_members("input", members(description["input_schema"]))
    print_members("output", members(description["output_schema"]), outputs=True)


def _print_rows(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    used = [n for n in range(len(heads)) if n < 3 or any(row[n] for row in rows)]
    if rows:
        print_table([heads[n] for n in used], ([row[n] for n in used] for row in rows))
        console().print()


def _steps(graph: JsonObject, within: str) -> Iterator[tuple[str, ...]]:
    """Each step with those that it comes after; what a map repeats follows it as ``map[]/step``."""
    sources: dict[str, dict[str, None]] = {}
    for edge in graph.get("edges", ()):
        sources.setdefault(edge["target"], {})[edge["source"]] = None
    for node in graph.get("nodes", ()):
        if node["kind"] == "branch":
            continue
        after = ", ".join(source for source in sources.get(node["id"], ()) if source)
        yield within + node["id"], node["kind"], after, "; ".join(_details(node))
        if node.get("body"):
            yield from _steps(node["body"], f"{within}{node['id']}[]/")


def _branches(graph: JsonObject, within: str) -> Iterator[tuple[str, ...]]:
    for node in graph.get("nodes", ()):
        if node["kind"] == "branch":
            yield within + node["id"], node["label"], _led(graph, node, "yes"), _led(graph, node, "no")
        elif node.get("body"):
            yield from _branches(node["body"], f"{within}{node['id']}[]/")


def _led(graph: JsonObject, node: JsonObject, answer: str) -> str:
    edges = (edge for edge in graph.get("edges", ()) if edge["source"] == node["id"])
    return ", ".join(edge["target"] for edge in edges if edge["label"] == answer)


def _details(node: JsonObject) -> Iterator[str]:
    settings: dict[str, Any] = node.get("settings", {})
    if fan := settings.get("fan"):
        yield f"{'each' if fan['kind'] == 'map' else 'every pair of'} {', '.join(fan['over'])}"
        if fan.get("max_concurrency"):
            yield f"{fan['max_concurrency']} at a time"
    if executor := settings.get("executor"):
        yield f"on {executor['engine']}"
    if retry := settings.get("retry"):
        yield f"{retry['attempts']} attempts"
    if timeout := settings.get("timeout"):
        yield f"timeout {timeout:g} s"
    yield from settings.get("hooks", ())
