"""What ``/batch`` gains: items a second on one uvicorn, beside as many requests for one item each.

    python benchmarks/batch.py                 # five rounds, a minute
    python benchmarks/batch.py --rounds 1

The rounds are interleaved; what is told is the median over them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "src"))

from servers import CLIENT_CORE, Server, headers, pin

__all__ = ["BatchReport", "measure_batch"]

SIZES = (1, 10, 100, 1000)
CONNECTIONS = 8
CUSTOMER = {"age": 41.0, "months": 12.0, "charge": 70.5, "plan": "plus", "region": "south"}
PLACE = {"city": "Oslo", "temperature": 3.0}


class Case(NamedTuple):
    """A row of the table."""

    title: str
    pipeline: str
    item: dict[str, Any]
    connections: int = 0  # of invocations; 0: a batch


CASES = (
    Case("scikit-learn: a batch, judged at once", "at-once", CUSTOMER),
    Case("scikit-learn: a batch, judged one by one", "one-by-one", CUSTOMER),
    Case("scikit-learn: `/invoke` on one connection", "one-by-one", CUSTOMER, 1),
    Case(f"scikit-learn: `/invoke` on {CONNECTIONS} connections", "one-by-one", CUSTOMER, CONNECTIONS),
    Case("one async step: a batch", "weather", PLACE),
    Case("one async step: `/invoke` on one connection", "weather", PLACE, 1),
    Case(f"one async step: `/invoke` on {CONNECTIONS} connections", "weather", PLACE, CONNECTIONS),
)


@dataclass
class BatchReport:
    """What was found.

    Attributes:
        found: Items a second, one per round, by row and by how many items a request has.
        rounds: How many medians are over.
    """

    found: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    rounds: int = 0

    def __bool__(self) -> bool:
        return bool(self.found)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Items a second by how many a request has."""
        yield "items a second", *(f"{size:,} a request" for size in SIZES)
        for title, by_size in self.found.items():
            yield title, *(f"{statistics.median(by_size[size]):,.0f}" if size in by_size else "" for size in SIZES)

    def notes(self) -> Iterable[str]:
        """None."""
        return ()


def measure_batch(*, rounds: int = 5, seconds: float = 0.6) -> BatchReport:
    """Every case, in interleaved rounds."""
    report = BatchReport(rounds=rounds)
    body = json.dumps([CUSTOMER]).encode()
    server = Server("contenders.batching:app", Path(sys.executable), ("/at-once/batch", body))
    try:
        pin(CLIENT_CORE)
        for number in range(rounds + 1):
            for case in CASES:
                for size in SIZES if not case.connections else (1,):
                    rate = _rate(server.port, case, size, seconds)
                    if number:  # the first round warms up
                        report.found.setdefault(case.title, {}).setdefault(size, []).append(rate)
    finally:
        server.close()
    return report


def _rate(port: int, case: Case, size: int, seconds: float) -> float:
    """Items a second."""
    path = f"/{case.pipeline}/{'invoke' if case.connections else 'batch'}"
    sent: Any = {"parameters": case.item} if case.connections else [case.item] * size
    body, connections = json.dumps(sent).encode(), case.connections or 1
    until = time.perf_counter() + seconds
    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        asked = [
            threads.submit(_ask, port, path, body, lambda: time.perf_counter() < until) for _ in range(connections)
        ]
        requests = sum(one.result() for one in asked)
    return requests * size / (time.perf_counter() - began)


def _ask(port: int, path: str, body: bytes, goes_on: Callable[[], bool]) -> int:
    """How many requests were answered on one connection."""
    connection, count = http.client.HTTPConnection("127.0.0.1", port, timeout=60), 0
    while goes_on():
        connection.request("POST", path, body, headers())
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200 or b'"success":false' in answer:
            raise ValueError(f"answered {response.status} {answer!r:.200}")
        count += 1
    connection.close()
    return count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="per row, size and round")
    options = parser.parse_args()
    for row in measure_batch(rounds=options.rounds, seconds=options.seconds).rows():
        print(" | ".join(row))


if __name__ == "__main__":
    main()
