"""``Client``: a served pipeline for code that waits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

import httpx

from ..errors import PipemountError
from ..jobs.models import JobStatus
from ..runtime.events import Event
from ..types import JsonObject
from .base import Base, SyncOptions, Untraced, job_id_of
from .driving import OURS, Driver
from .records import Job, Result

__all__ = ["Client"]

P = ParamSpec("P")
R = TypeVar("R")


class Client(Base[P, R]):
    """A pipeline that is served somewhere, called like the function it is.

    ::

        with Client("https://shop.example/ai", weather, key=key) as client:
            client.invoke(city="Oslo").value
            for event in client.stream(city="Oslo"): ...

    Given the pipeline (whatever ``PipelineApp`` takes), inputs are validated here before anything is sent, and outputs
    come as values of the declared types. Without it, or with its name alone, the server validates; outputs are JSON.

    Errors are those of the process, raised here: a problem document becomes the class that its code names. What is no
    answer of pipemount is a ``RemoteError``. Requests that the server refused with 429 or 503 are sent again, see
    ``Retries``; after a broken connection only those that may safely be: reads, cancels, and all with an idempotency
    key, which ``submit`` and ``stream`` always have.

    May be used by several threads. ``close``, or a ``with`` block, closes the connections that it opened itself.

    Args:
        url: Of the mount, ``https://host/ai``, or of one of its pipelines, ``https://host/ai/pipelines/weather``.
        pipeline: The pipeline; or its name, where the app has several.
        key: Presented as ``Authorization: Bearer``.
        token: A signed token in place of a key: good for ``job``, ``events`` and ``result`` of one job, or ``cancel``.
        name: The pipeline's name in the app, if it is not its own.
        retries: How often, and after how long, to try again.
        headers: Of every request.
        paths: What the app was told as ``Settings(paths=…)``, where it has its routes at other paths.
        http: The HTTP client to use; it stays open. ``url`` may be a path then, below its ``base_url``.
        transport: The transport to use, in an HTTP client of our own.
        sleep: Waits between attempts.
    """

    @overload
    def __init__(
        self: Client[..., Any], url: str, pipeline: Untraced = None, **options: Unpack[SyncOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: Client[P, R],
        url: str,
        pipeline: Callable[P, Coroutine[Any, Any, R]],
        **options: Unpack[SyncOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Client[P, Any],
        url: str,
        pipeline: Callable[P, Iterator[Any] | AsyncIterator[Any]],
        **options: Unpack[SyncOptions],
    ) -> None: ...
    @overload
    def __init__(self: Client[P, R], url: str, pipeline: Callable[P, R], **options: Unpack[SyncOptions]) -> None: ...
    def __init__(self, url: str, pipeline: Any = None, **options: Any) -> None:
        http, transport = options.pop("http", None), options.pop("transport", None)
        sleep = options.pop("sleep", time.sleep)
        self._set_up(url, pipeline, relative=http is not None, **options)
        self._owns = http is None
        self._driver = Driver(http or httpx.Client(transport=transport, **OURS), self._headers, sleep)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that it opened itself."""
        if self._owns:
            self._driver.http.close()

    # -------------------------------------------------------------------------------------------- running

    def invoke(self, /, *args: P.args, **inputs: P.kwargs) -> Result[R]:
        """Run and wait.

        Raises:
            InvalidInputsError, OverloadedError, UnavailableError, RunError: As in the process.
            RemoteError: There was no answer, or none of pipemount.
        """
        return self._driver.run(self._verbs.invoke(args, inputs))

    def stream(self, /, *args: P.args, **inputs: P.kwargs) -> Generator[Event, None, None]:
        """Run, and tell what happens: ``for event in client.stream(city="Oslo")``.

        As ``pipelines.stream``: it begins with the first event that is asked for, ends after ``run_completed``, which
        has the outputs, and raises what a run failed with after its last event. Leaving the loop early cancels the run;
        ``contextlib.closing`` does so at once.

        The run is a job: when the connection drops or the server restarts, it goes on, and so does the stream, each
        event once. The key needs the permissions ``invoke``, ``read`` and ``cancel``.
        """
        return self._driver.each(self._verbs.stream(args, inputs))

    def batch(self, inputs: Iterable[Mapping[str, Any]]) -> list[Result[R] | PipemountError]:
        """Run once for each, and wait for all; the results in order, an error in the place of each that failed."""
        return self._driver.run(self._verbs.batch(inputs))

    # ----------------------------------------------------------------------------------------------- jobs

    def submit(self, /, *args: P.args, **inputs: P.kwargs) -> Job:
        """Have a job made, and do not wait for it."""
        return self._driver.run(self._verbs.submit(args, inputs))

    def result(self, job: Job | str) -> Result[R]:
        """Wait for a job to end. Raises what it failed with, and ``JobCancelledError`` if it was cancelled."""
        return self._driver.run(self._verbs.result(job_id_of(job)))

    def events(self, job: Job | str, *, after: int = 0) -> Generator[Event, None, None]:
        """What happens, and has happened, in a job, to its end; leaving the loop early changes nothing for it.

        Args:
            job: The job, or its id.
            after: The ``sequence`` of the last event that is known.

        Raises:
            NotFoundError: There is no such job, or none that the key may see.
            EventsPrunedError: The events behind ``after`` are no longer kept.
        """
        return self._driver.each(self._verbs.events(job_id_of(job), after))

    def job(self, job: Job | str) -> Job:
        """A job's record, as it is now."""
        return self._driver.run(self._verbs.job(job_id_of(job)))

    def jobs(self, *status: JobStatus, limit: int = 50) -> Generator[Job, None, None]:
        """The jobs that the key may see, the youngest first; further pages are asked for as they are needed.

        Args:
            *status: Only those that have one of these.
            limit: Of a page.
        """
        return self._driver.each(self._verbs.jobs(status, limit))

    def cancel(self, job: Job | str) -> Job:
        """Ask to cancel a job; a step in a thread ends when it returns. Asking again changes nothing.

        Raises:
            JobEndedError: It has succeeded or failed before.
        """
        return self._driver.run(self._verbs.cancel(job_id_of(job)))

    def retry(self, job: Job | str) -> Job:
        """Have a new job made of what was asked for with one that failed or was cancelled, and do not wait for it.

        Raises:
            JobNotEndedError: It has not ended.
            JobEndedError: It has succeeded.
        """
        return self._driver.run(self._verbs.retry(job_id_of(job)))

    def resume(self, job: Job | str, answer: Any) -> Job:
        """Answer what a suspended job asks (``job.document["question"]``); it goes on as soon as there is a place.

        Args:
            job: The job.
            answer: What JSON can say. One that does not fit is asked for again.

        Raises:
            JobNotSuspendedError: It asks nothing, or somebody has answered before.
        """
        return self._driver.run(self._verbs.resume(job_id_of(job), answer))

    def delete(self, job: Job | str) -> None:
        """Have a job that has ended forgotten. Raises ``JobNotEndedError``."""
        self._driver.run(self._verbs.delete(job_id_of(job)))

    # ---------------------------------------------------------------------------------------- what is there

    def pipelines(self) -> list[JsonObject]:
        """The pipelines of the app: name, description, fingerprint and URLs of each."""
        return self._driver.run(self._verbs.pipelines())

    def info(self) -> JsonObject:
        """What the server tells of the pipeline: its schemas, its graph, its fingerprint."""
        return self._driver.run(self._verbs.info())

    def status(self) -> JsonObject:
        """What the server tells of itself: settings, and how much is running."""
        return self._driver.run(self._verbs.status())
