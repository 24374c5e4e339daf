"""``GET /metrics`` and ``GET /status``: what those who operate the app read. Nothing here is on the path of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import fields, is_dataclass
from time import monotonic, time
from typing import Any, NamedTuple, Protocol

from pydantic_core import to_json

from ..errors import NotAcceptableError
from ..jobs.desk import Jobs
from ..jobs.models import JobStatus
from ..runtime.admission import Admission
from ..runtime.lifecycle import Lifecycle
from ..runtime.loops import spawn
from ..runtime.metering import BUCKETS, percentiles
from ..service import Service
from ..settings import Settings
from ..types import VERSION, JsonObject
from .exchange import Exchange
from .exposition import OPENMETRICS, PROMETHEUS, Family, Histogram, Sample, as_json, as_openmetrics, as_prometheus
from .headers import accepts_json, preferred
from .problems import Headers
from .streams import Streams

__all__ = ["Monitored", "Monitoring", "plain"]

PATIENCE = 1.0
"""Seconds that a reader waits for a home loop which is busy: so long it lags at least."""

JSON, TEXT, OPEN = b"application/json", b"text/plain", b"application/openmetrics-text"


class Monitored(Protocol):
    """What is looked at: the app, as far as it matters here."""

    settings: Settings
    services: dict[str, Service]
    lifecycle: Lifecycle
    admission: Admission
    jobs: Jobs
    streams: Streams


class Monitoring:
    """The two endpoints. They start nothing: an app that has not been asked for a run yet says so."""

    def __init__(self, app: Monitored, schemes: Sequence[str]) -> None:
        self._app, self._schemes = app, tuple(schemes)

    async def metrics(self, exchange: Exchange) -> None:
        """JSON, or the text that the reader prefers; Prometheus asks for OpenMetrics."""
        kind = preferred(exchange.headers.get(b"accept"), (JSON, OPEN, TEXT))
        if kind is None:
            raise NotAcceptableError(
                "this route answers application/json, application/openmetrics-text and text/plain; "
                "name one of them in Accept, or send no Accept"
            )
        found = list(_families(self._app, await self._look()))
        if kind == OPEN:
            await _send(exchange, OPENMETRICS, as_openmetrics(found))
        elif kind == TEXT:
            await _send(exchange, PROMETHEUS, as_prometheus(found))
        else:
            await _send(exchange, JSON, to_json(as_json(found)))

    async def status(self, exchange: Exchange) -> None:
        """Where the app stands, and how it was told to behave."""
        if not accepts_json(exchange.headers.get(b"accept")):
            raise NotAcceptableError("this route answers application/json; name it in Accept, or send no Accept")
        await _send(exchange, JSON, to_json(_status(self._app, self._schemes, await self._look())))

    async def _look(self) -> Seen:
        """What only the home loop knows: asked of it, and not waited for where it has other things to do."""
        home = self._app.lifecycle.home
        if not self._app.lifecycle.ready or home is None:
            return Seen(None, None)
        here = asyncio.get_running_loop()
        seen: asyncio.Future[Seen] = here.create_future()
        began = monotonic()

        async def look() -> None:
            lag = monotonic() - began
            found = Seen(lag, await self._app.jobs.counts())
            with suppress(RuntimeError):  # who asked is gone
                here.call_soon_threadsafe(seen.set_result, found)

        with suppress(RuntimeError):  # it ends just now
            spawn(home, look, Context())
            await asyncio.wait([seen], timeout=PATIENCE)
        return seen.result() if seen.done() else Seen(monotonic() - began, None)


class Seen(NamedTuple):
    """What the home loop knows.

    Attributes:
        lag: Seconds until it came to it; ``None`` where the app has no home.
        jobs: How many have which status; ``None`` where that is not known just now.
    """

    lag: float | None
    jobs: Mapping[JobStatus, int] | None


async def _send(exchange: Exchange, content_type: bytes, body: bytes) -> None:
    headers: Headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"vary", b"accept"),
    ]
    await exchange.respond(200, headers, body)


# ------------------------------------------------------------------------------------------- metrics


def _families(app: Monitored, seen: Seen) -> Iterator[Family]:
    services, admission = app.services, app.admission
    results = [
        Sample({"pipeline": name, "result": result}, count)
        for name, service in services.items()
        for result, count in service.meter.results().items()
    ]
    yield Family("pipemount_runs", "counter", "Runs that ended, by how they did.", results)
    durations = [Sample({"pipeline": name}, _histogram(service)) for name, service in services.items()]
    yield Family("pipemount_run_duration_seconds", "histogram", "How long the runs took that ended.", durations)
    active = [Sample({"pipeline": name}, service.meter.active) for name, service in services.items()]
    yield Family("pipemount_runs_active", "gauge", "Runs under way.", active)
    yield _gauge("pipemount_places", "Runs that may be under way at the same time.", admission.limit)
    yield _gauge("pipemount_places_taken", "Places that are taken.", admission.active)
    yield _gauge("pipemount_places_cancelling", "Places of runs that ended but for a thread.", admission.cancelling)
    yield _gauge("pipemount_queue_limit", "Runs that may wait for a place.", admission.queue)
    yield _gauge("pipemount_queued", "Runs that wait for a place.", admission.queued)
    rejected = [Sample({"reason": reason}, count) for reason, count in _rejected(admission).items()]
    yield Family("pipemount_rejected", "counter", "Requests that were answered 429, by the limit they met.", rejected)
    jobs = [Sample({"state": state}, count) for state, count in (seen.jobs or {}).items()]
    yield Family("pipemount_jobs", "gauge", "Jobs that are known, by their status.", jobs)
    yield _gauge("pipemount_streams_open", "Streams of events that somebody reads.", len(app.streams))
    lag = [] if seen.lag is None else [Sample({}, seen.lag)]
    yield Family("pipemount_loop_lag_seconds", "gauge", "How long a turn of the loop took just now.", lag)
    yield _gauge("pipemount_ready", "1 where pipelines can run, else 0.", int(app.lifecycle.ready))
    if app.lifecycle.since is not None:
        yield _gauge("pipemount_start_time_seconds", "When the app was started, Unix time.", app.lifecycle.since)


def _gauge(name: str, text: str, value: float) -> Family:
    return Family(name, "gauge", text, [Sample({}, value)])


def _histogram(service: Service) -> Histogram:
    counts, total = service.meter.durations()
    return Histogram(BUCKETS, counts, total)


def _rejected(admission: Admission) -> Mapping[str, int]:
    """By what was full; of the app that is its places and its queue."""
    return {reason: admission.refusals[reason] for reason in ("app", "pipeline", "key", "rate")}


# -------------------------------------------------------------------------------------------- status


def _status(app: Monitored, schemes: Sequence[str], seen: Seen) -> JsonObject:
    lifecycle, admission, services = app.lifecycle, app.admission, app.services
    recent = [seconds for service in services.values() for seconds in service.meter.recent]
    return {
        "state": lifecycle.state,
        "draining": lifecycle.draining,
        "started": lifecycle.since,
        "uptime": None if lifecycle.since is None else max(0.0, time() - lifecycle.since),
        "pipemount": VERSION,
        "concurrency": {
            "active": admission.active,
            "cancelling": admission.cancelling,
            "queued": admission.queued,
            "limits": {"active": admission.limit, "queued": admission.queue},
            "rejected": sum(_rejected(admission).values()),
            **percentiles(recent),
        },
        "jobs": seen.jobs,
        "streams": len(app.streams),
        "pipelines": {name: _pipeline(service) for name, service in services.items()},
        "auth": {"enabled": bool(schemes), "schemes": list(schemes)},
        "settings": _told(app.settings),
    }


def _pipeline(service: Service) -> JsonObject:
    meter = service.meter
    return {
        "fingerprint": service.compiled.info.fingerprint,
        "active": meter.active,
        "runs": dict(meter.results()),
        **percentiles(meter.recent),
    }


def _told(settings: Settings) -> JsonObject:
    return {field.name: plain(getattr(settings, field.name)) for field in fields(settings)}


def plain(value: Any) -> Any:
    """What a setting says, as far as JSON can: of a function or an object only what it is."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(item) for item in value]
    return type(value).__name__ if not hasattr(value, "__name__") else value.__name__
