"""Metrics as text for Prometheus, in its own format 0.0.4 and in OpenMetrics 1.0, and as JSON values.

Values in, text out. The two texts differ in how a counter's family is called and in how they end:
https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://prometheus.io/docs/specs/om/open_metrics_spec/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias

from ..types import JsonObject

__all__ = ["OPENMETRICS", "PROMETHEUS", "Family", "Histogram", "Sample", "as_json", "as_openmetrics", "as_prometheus"]

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = b"application/openmetrics-text; version=1.0.0; charset=utf-8"


class Histogram(NamedTuple):
    """A histogram's value.

    Attributes:
        bounds: Upper bounds of the buckets; there is one more, without a bound.
        counts: By bucket, not cumulated.
        total: The sum of what was observed.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


Value: TypeAlias = float | Histogram


class Sample(NamedTuple):
    """One value of a family, and what tells it from the others."""

    labels: Mapping[str, str]
    value: Value


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name.

    Attributes:
        name: Without ``_total``, which only the samples of a counter end in.
        kind: What it is.
        help: One line.
        samples: Each with the same names of labels.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Sequence[Sample]


# -------------------------------------------------------------------------------------------- as text


def as_prometheus(families: Iterable[Family]) -> bytes:
    """The text format, version 0.0.4: a counter's family has the name of its samples."""
    lines: list[str] = []
    for family in families:
        name = _sample_name(family)
        lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {family.kind}", *_lines(family)]
    return "".join(f"{line}\n" for line in lines).encode()


def as_openmetrics(families: Iterable[Family]) -> bytes:
    """OpenMetrics 1.0: a counter's family lacks the ``_total``, units are told, and the end is marked."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# TYPE {family.name} {family.kind}")
        if family.name.endswith("_seconds"):
            lines.append(f"# UNIT {family.name} seconds")
        lines += [f"# HELP {family.name} {_escaped(family.help, quotes=True)}", *_lines(family)]
    return "".join(f"{line}\n" for line in [*lines, "# EOF"]).encode()


def _sample_name(family: Family) -> str:
    return f"{family.name}_total" if family.kind == "counter" else family.name


def _lines(family: Family) -> Iterator[str]:
    name = _sample_name(family)
    for labels, value in family.samples:
        if isinstance(value, Histogram):
            yield from _histogram(name, labels, value)
        else:
            yield f"{name}{_braced(labels)} {_number(value)}"


def _histogram(name: str, labels: Mapping[str, str], value: Histogram) -> Iterator[str]:
    upto = 0
    for bound, upto in zip((*value.bounds, math.inf), accumulate(value.counts), strict=True):
        yield f"{name}_bucket{_braced({**labels, 'le': _number(float(bound))})} {upto}"
    yield f"{name}_count{_braced(labels)} {upto}"
    yield f"{name}_sum{_braced(labels)} {_number(value.total)}"


def _braced(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{told}}}" if told else ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "+Inf" if value == math.inf else repr(value)


# -------------------------------------------------------------------------------------------- as JSON


def as_json(families: Iterable[Family]) -> JsonObject:
    """The same families for whoever reads JSON. Buckets are by upper bound, and cumulated as in the texts."""
    return {
        "metrics": [
            {
                "name": _sample_name(family),
                "type": family.kind,
                "help": family.help,
                "samples": [{"labels": dict(labels), **_valued(value)} for labels, value in family.samples],
            }
            for family in families
        ]
    }


def _valued(value: Value) -> JsonObject:
    if not isinstance(value, Histogram):
        return {"value": value}
    bounds = (*map(_number, map(float, value.bounds)), "+Inf")
    buckets = dict(zip(bounds, accumulate(value.counts), strict=True))
    return {"count": sum(value.counts), "sum": value.total, "buckets": buckets}
