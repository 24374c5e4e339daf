"""What the verbs of a store of jobs cost when there are a million jobs in it, beside ten thousand."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.append(str(Path(__file__).parents[1] / "src"))

from peers import HERE, PeerUnavailableError
from services import postgres

from pipemount import Settings
from pipemount.jobs.arrangement import store_at
from pipemount.jobs.models import Claim, JobQuery, JobRequest, Outcome
from pipemount.jobs.store import Store
from pipemount.types import Principal

__all__ = ["SIZES", "GrowthReport", "fill_postgres", "fill_sqlite", "measure_growth"]

SIZES = (10_000, 1_000_000)
SETTINGS = Settings(max_jobs=10_000_000, max_job_bytes=2**40, job_ttl=1e9)
OWNERS = 100
WARM_UP = 20

Verb = Callable[[], Awaitable[object]]


@dataclass
class GrowthReport:
    """Milliseconds of each call, by store, verb and size."""

    found: dict[tuple[str, str], dict[int, list[float]]] = field(default_factory=dict)
    sizes: Sequence[int] = SIZES

    def __bool__(self) -> bool:
        return bool(self.found)

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Medians, and how many times those of the smallest the others are."""
        yield "", *(f"{size:,} jobs, ms" for size in self.sizes), "×"
        for (store, verb), by_size in self.found.items():
            medians = [statistics.median(by_size[size]) for size in self.sizes]
            yield f"{store}: {verb}", *(f"{each:.2f}" for each in medians), f"{medians[-1] / medians[0]:.2f}"


def measure_growth(*, calls: int = 200, sizes: Sequence[int] = SIZES) -> GrowthReport:
    """Both stores; half of the jobs have ended, and half wait."""
    report = GrowthReport(sizes=sizes)
    with tempfile.TemporaryDirectory(prefix=".benchmark-", dir=HERE.parent) as folder:
        urls = {size: f"sqlite:///{folder}/{size}.db" for size in sizes}
        asyncio.run(_measure(report, "SQLite", urls, calls))
    try:
        with postgres() as url:
            asyncio.run(_measure(report, "PostgreSQL", {size: f"{url}?schema=of_{size}" for size in sizes}, calls))
    except PeerUnavailableError as error:
        print(f"PostgreSQL: {error}", file=sys.stderr)
    return report


async def _measure(report: GrowthReport, name: str, urls: dict[int, str], calls: int) -> None:
    async with AsyncExitStack() as stack:
        verbs: dict[int, dict[str, Verb]] = {}
        for size, url in urls.items():
            print(f"jobs, growth: {name}, {size:,}", file=sys.stderr, flush=True)
            known = await _filled(url, size)
            store = store_at(url, SETTINGS)
            await store.open()
            stack.push_async_callback(store.close)
            verbs[size] = _verbs(store, known)
        for number in range(calls + WARM_UP):
            for verb in verbs[report.sizes[0]]:
                for size in report.sizes if number % 2 else reversed(report.sizes):
                    began = time.perf_counter()
                    await verbs[size][verb]()
                    took = (time.perf_counter() - began) * 1000
                    if number >= WARM_UP:
                        report.found.setdefault((name, verb), {}).setdefault(size, []).append(took)


def _verbs(store: Store, known: Sequence[str]) -> dict[str, Verb]:
    ids = iter([*known] * 100)
    return {
        "submit": lambda: store.submit(_request()),
        "claim": lambda: store.claim(Claim("growth", ["work"], 1)),
        "get": lambda: store.get(next(ids)),
        "list, all": lambda: store.list(JobQuery()),
        "list, one caller's": lambda: store.list(JobQuery(owner="key:k7")),
        "list, those that failed": lambda: store.list(JobQuery(status=("failed",))),
        "count": store.counts,
    }


def _request() -> JobRequest:
    who = Principal(name="k1", source="key")
    return JobRequest(job_id=str(uuid4()), pipeline="work", fingerprint="", inputs=b'{"number":1}', principal=who)


async def _filled(url: str, size: int) -> list[str]:
    """Ids of some of ``size`` jobs that are there now."""
    store = store_at(url, SETTINGS)
    await store.open()
    try:
        await store.join("growth")
        await store.submit(_request())
        [lease] = await store.claim(Claim("growth", ["work"], 1))
        await store.finish(lease, Outcome(status="succeeded", result=b'{"output":2}', execution_time=0.001))
    finally:
        await store.close()
    await asyncio.to_thread(fill_sqlite if url.startswith("sqlite") else fill_postgres, url, size)
    store = store_at(url, SETTINGS)
    await store.open()
    try:
        return [job.id for job in (await store.list(JobQuery(owner="key:k3", limit=200))).jobs]
    finally:
        await store.close()


COLUMNS = {
    "id": "'job-' || n",
    "owner": f"'key:k' || (n % {OWNERS})",
    "status": "CASE WHEN n % 2 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'failed' ELSE 'succeeded' END",
    "started": "CASE WHEN n % 2 = 0 THEN NULL ELSE started END",
    "finished": "CASE WHEN n % 2 = 0 THEN NULL ELSE finished END",
}
"""Of the ``n``-th job; all else is as of the first."""


def fill_sqlite(url: str, size: int) -> None:
    """Jobs like the one that is there, in one transaction."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        names = [row[1] for row in connection.execute("PRAGMA table_info(jobs)") if row[1] != "number"]
        made = COLUMNS | {"expires": "CASE WHEN n % 2 = 0 THEN NULL ELSE expires END"}
        series = "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < ?)"
        connection.execute(f"{series} {_insert('jobs', names, made)}", (size,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def fill_postgres(url: str, size: int) -> None:
    """Jobs like the one that is there, in one statement; then the planner is told."""
    import psycopg

    address, _, schema = url.partition("?schema=")
    with psycopg.connect(address, autocommit=True) as connection:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = 'jobs'"
        names = [row[0] for row in connection.execute(columns, [schema]) if row[0] != "number"]
        statement: Any = _insert(f"{schema}.jobs", names, COLUMNS).replace(
            "series", f"generate_series(1, {size}) AS series (n)"
        )
        connection.execute(statement)
        connection.execute(f"VACUUM ANALYZE {schema}.jobs".encode())


def _insert(table: str, names: Sequence[str], made: dict[str, str]) -> str:
    values = ", ".join(made.get(name, f"first.{name}") for name in names)
    first = f"(SELECT * FROM {table} ORDER BY number LIMIT 1)"
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {first} AS first, series"


if __name__ == "__main__":
    for row in measure_growth(sizes=tuple(int(size) for size in sys.argv[1:]) or SIZES).rows():
        print(" | ".join(row))
