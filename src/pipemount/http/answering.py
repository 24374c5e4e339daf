"""What answers at each of an app's own routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

from ..adapters.protocol import CompiledPipeline
from ..auth.keys import AuthKeys
from ..jobs.desk import Jobs
from ..jobs.local import LocalRunner
from ..runtime.admission import Admission
from ..runtime.lifecycle import Lifecycle
from ..service import Service
from ..settings import Settings
from ..types import JsonObject
from .at_home import at_home
from .batch import BatchEndpoint
from .endpoints import About, Endpoints
from .gate import Gate
from .invocation import Invocation
from .job_links import JobLinks
from .jobs import JobRoutes, Keyed, Submission
from .monitoring import Monitoring
from .routes import Route
from .streaming import Events
from .streams import Streams
from .table import Answer
from .tokens import Signing

__all__ = ["answers"]


class App(Protocol):
    """What the endpoints need of the app."""

    settings: Settings
    auth: AuthKeys | None
    services: dict[str, Service]
    admission: Admission
    jobs: Jobs
    runner: LocalRunner
    lifecycle: Lifecycle
    streams: Streams
    signing: Signing
    gate: Gate
    route_table: tuple[Route, ...]

    @property
    def pipelines(self) -> Mapping[str, CompiledPipeline]: ...


def answers(app: App, invocations: Mapping[str, Invocation]) -> Iterator[tuple[Route, Answer]]:
    """The app's own routes, each with its endpoint. What is the author's is not among them."""
    schemes = app.auth.accept if app.auth else ()
    links = JobLinks(app.route_table)
    about = About(app.pipelines, app.route_table, app.settings, schemes, partial(_kept, app))

    async def answer_probe() -> None:
        await app.lifecycle.answer_probe()
        await at_home(app.lifecycle, app.jobs.check)

    endpoints = Endpoints(about, answer_probe)
    events = Events(app.jobs, app.lifecycle, app.settings, app.streams, links, app.gate.still_holds)
    for invocation in invocations.values():
        invocation.others |= {
            "async": Submission(invocation, app.jobs, links),
            "keyed": Keyed(invocation, app.jobs),
            "stream": partial(events.invoke, invocation),
        }
    jobs = JobRoutes(app.jobs, app.lifecycle, links, app.settings)
    batches = {name: BatchEndpoint(service, app.lifecycle, app.jobs) for name, service in app.services.items()}
    app.runner.performers["batch"] = lambda service, work, feed: batches[service.name].perform(work)
    monitoring = Monitoring(app, schemes)
    special: dict[str, Callable[[str], Answer]] = {
        "events": lambda name: events,
        "invoke": lambda name: invocations[name],
        "submit": lambda name: invocations[name].others["async"],
        "batch": lambda name: batches[name],
        "jobs": lambda name: jobs.list,
        "job": lambda name: jobs.job,
        "delete": lambda name: jobs.job,
        "cancel": lambda name: jobs.cancel,
        "resume": lambda name: jobs.resume,
        "retry": lambda name: jobs.retry,
        "metrics": lambda name: monitoring.metrics,
        "status": lambda name: monitoring.status,
        "tokens": lambda name: app.signing,
    }
    for route in app.route_table:
        if route.endpoint in special:
            yield route, special[route.endpoint](route.pipeline or "")
        elif route.endpoint != "custom":
            yield route, endpoints.answer(route)


def _kept(app: App) -> JsonObject:
    """Whether jobs outlive the process, and whether they are performed in it."""
    return {"durable": app.jobs.store.durable, "runner": "local" if app.runner.takes else "external"}
