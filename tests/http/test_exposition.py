"""What is exposed is read by Prometheus' own parsers, of both formats."""

from __future__ import annotations

import math

from prometheus_client import Metric, parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from pipemount.http.exposition import Family, Histogram, Sample, as_json, as_openmetrics, as_prometheus

TRICKY = 'a "quoted"\\ name\nin two lines'
FAMILIES = [
    Family(
        "pipemount_runs", "counter", 'Runs\nthat "ended" \\.', [Sample({"pipeline": TRICKY, "result": "success"}, 3)]
    ),
    Family("pipemount_queued", "gauge", "Runs that wait.", [Sample({}, 2)]),
    Family("pipemount_loop_lag_seconds", "gauge", "A turn.", [Sample({}, 1.5e-05)]),
    Family("pipemount_nothing", "gauge", "Not known yet.", []),
    Family("pipemount_infinite", "gauge", "More than that.", [Sample({}, math.inf)]),
    Family(
        "pipemount_run_duration_seconds",
        "histogram",
        "How long.",
        [Sample({"pipeline": "a"}, Histogram((0.5, 1, 2.5), (1, 0, 2, 4), 99.25))],
    ),
]
EXPECTED = {
    ("pipemount_runs_total", TRICKY): 3.0,
    ("pipemount_queued", None): 2.0,
    ("pipemount_loop_lag_seconds", None): 1.5e-05,
    ("pipemount_infinite", None): math.inf,
    ("pipemount_run_duration_seconds_count", "a"): 7.0,
    ("pipemount_run_duration_seconds_sum", "a"): 99.25,
}


def samples(families: list[Metric]) -> dict[tuple[str, str | None], float]:
    found = {}
    for family in families:
        for sample in family.samples:
            if "le" not in sample.labels:
                found[sample.name, sample.labels.get("pipeline")] = sample.value
    return found


def buckets(families: list[Metric]) -> dict[str, float]:
    return {
        sample.labels["le"]: sample.value for family in families for sample in family.samples if "le" in sample.labels
    }


def test_the_text_format_is_read_by_prometheus() -> None:
    text = as_prometheus(FAMILIES).decode()
    families = list(parser.text_string_to_metric_families(text))
    assert {family.name: family.type for family in families} == {family.name: family.kind for family in FAMILIES}
    assert families[0].documentation == 'Runs\nthat "ended" \\.'
    assert samples(families) == EXPECTED
    assert buckets(families) == {"0.5": 1, "1.0": 1, "2.5": 3, "+Inf": 7}
    assert "# TYPE pipemount_runs_total counter" in text
    assert "EOF" not in text


def test_openmetrics_is_read_by_prometheus() -> None:
    text = as_openmetrics(FAMILIES).decode()
    families = list(openmetrics_parser.text_string_to_metric_families(text))
    assert {family.name: family.type for family in families} == {family.name: family.kind for family in FAMILIES}
    assert families[0].documentation == 'Runs\nthat "ended" \\.'
    assert {family.name for family in families if family.unit == "seconds"} == {
        "pipemount_loop_lag_seconds",
        "pipemount_run_duration_seconds",
    }
    assert samples(families) == EXPECTED
    assert buckets(families) == {"0.5": 1, "1.0": 1, "2.5": 3, "+Inf": 7}
    assert text.endswith("\n# EOF\n")


def test_json_tells_the_same() -> None:
    told = {metric["name"]: metric for metric in as_json(FAMILIES)["metrics"]}
    assert told["pipemount_runs_total"]["samples"] == [
        {"labels": {"pipeline": TRICKY, "result": "success"}, "value": 3}
    ]
    assert told["pipemount_run_duration_seconds"]["samples"] == [
        {"labels": {"pipeline": "a"}, "count": 7, "sum": 99.25, "buckets": {"0.5": 1, "1.0": 1, "2.5": 3, "+Inf": 7}}
    ]
    assert told["pipemount_nothing"] == {
        "name": "pipemount_nothing",
        "type": "gauge",
        "help": "Not known yet.",
        "samples": [],
    }
