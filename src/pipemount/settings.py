"""What an app can be told: one frozen value, checked when it is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .browsers import Cors, SecureHeaders, checked_host, checked_origin
from .errors import ConfigurationError

__all__ = ["Limits", "RateLimit", "Settings"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many runs at the same time, and how many that wait.

    Attributes:
        concurrency: Runs at the same time.
        queue: Runs that may wait.
    """

    concurrency: int
    queue: int

    def __post_init__(self) -> None:
        if not (self.concurrency > 0 and self.queue >= 0):
            raise ConfigurationError(f"{self!r}: concurrency must be above 0, queue must not be negative")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often a caller may ask for runs: a quota that may be used at once, and fills up evenly.

    Attributes:
        quota: Runs.
        window: Seconds in which an empty quota fills up.
    """

    quota: int
    window: float = 60.0

    def __post_init__(self) -> None:
        if not (self.quota > 0 and self.window > 0):
            raise ConfigurationError(f"{self!r}: quota and window must be above 0")


_YEAR = 366 * 86400.0

_ABOVE_0 = (
    *("max_concurrency", "threads", "request_timeout", "max_body_bytes", "body_timeout", "max_stream_age"),
    *("max_streams", "max_subscriptions", "heartbeat", "stream_retry"),
    *("max_jobs", "max_job_bytes", "job_ttl", "idempotency_ttl", "max_event_buffer", "max_event_bytes"),
    *("job_retry_delay", "max_job_retry_delay", "job_heartbeat", "job_lease"),
    *("max_batch", "batch_concurrency"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits and behaviour of a ``PipelineApp``; the defaults suit two cores.

    Attributes:
        max_concurrency: Runs at the same time; further ones wait in the queue.
        max_queue: Runs that may wait; further ones are answered 429.
        pipeline_limits: Shares of single pipelines, e.g. ``{"churn": Limits(4, 16)}``; the app's limits hold as well.
        key_concurrency: Runs at the same time of each key and of each of the host's users; callers without a name are
            one caller together.
        key_queue: Runs of such a caller that may wait beside those; further ones are answered 429.
        rate_limit: How often such a caller may ask for runs, e.g. ``RateLimit(100, 60)``; no limit by default.
        request_timeout: Seconds after which a run is cancelled and answered 504; also the most that a
            request may ask for.
        max_batch: The most items of one batch.
        batch_concurrency: How many of a batch may run at the same time, in places that nobody else wants.
        max_body_bytes: The largest request body; reading stops there with 413.
        body_timeout: Seconds that a request's body may take to come, before its 408; a body that does come has one
            more for each 16 KiB.
        invoke_disconnect: What becomes of a run whose caller leaves while it waits for the answer of ``/invoke``:
            ``"cancel"``, or ``"continue"`` to its end.
        affinity: Where sync steps run that do not say so themselves: ``"any"`` of the app's threads, or the thread
            that handles the ``"request"``, where there is one: one after the other, inside its open transaction.
        trusted_origins: Origins beside the app's own, e.g. ``"https://app.example"``, whose pages may post with the
            cookies of the host's login.
        allowed_hosts: Names that a request's ``Host`` may have, without port, e.g. ``"ai.example"``, or ``"*.example"``
            for all below a domain; others are answered 421. Empty: all, as where keys or the host's login guard the
            app, or where the host has a list of its own.
        cors: Which pages of other origins may call the app; by default none.
        secure_headers: Headers of every answer that tell browsers to be careful; ``None`` for none of them.
        generate_request_ids: Whether a request without ``X-Request-ID`` is given one.
        threads: Threads that perform sync steps; the app's own, never the host's.
        startup_budget: Seconds that a server's start waits for ``on_init`` before it reports ready and
            lets requests be answered 503 until ``on_init`` is done.
        lazy_wait: Seconds that a request waits for an ``on_init`` that it started, before its 503.
        cleanup_timeout: Seconds that a stop waits for running work and ``on_cleanup``.
        max_stream_age: Seconds after which an open stream ends, for its reader to come back: a stream keeps a server
            that was told to stop from stopping, and not every server can be heard.
        max_token_age: The most seconds that a signed token may be good for.
        max_open_streams: Streams that all callers together may have open in a process; further ones are answered 429.
            Under WSGI each takes a thread of the server: leave some to the host's own pages. ``None``: no limit.
        max_streams: Streams that one caller may have open; further ones are answered 429. All whom nobody knows are
            one caller.
        heartbeat: Seconds of silence in a stream after which a comment is sent, for proxies that close what is silent.
        stream_retry: Seconds after which a reader comes back that lost its stream.
        stream_disconnect: What becomes of a run that ``mode=stream`` or a WebSocket began when its reader leaves:
            ``"cancel"`` it, or let it ``"continue"``.
        max_subscriptions: Jobs that one WebSocket tells of at the same time.
        max_jobs: Jobs that have ended and are still known; the oldest are forgotten first, those with an
            ``Idempotency-Key`` after the others.
        max_job_bytes: What all jobs may take in memory: inputs, results, events.
        job_ttl: Seconds for which a job that has ended is known.
        idempotency_ttl: Seconds for which an ``Idempotency-Key`` stands for its first request.
        job_retry_delay: Seconds before the second attempt at a job that failed and may be tried again; before each
            further one it is twice as long.
        max_job_retry_delay: The most that this may become.
        job_heartbeat: Seconds between two times at which a process says that it still performs its durable jobs.
        changed_pipelines: What becomes of a durable job whose pipeline is another one than it was submitted to:
            ``"fail"``, with ``PipelineChangedError``, or ``"run"`` with the pipeline as it is now.
        job_lease: Seconds after which a job of a database on the network waits for another process, if its own has not
            said meanwhile that it still performs it.
        max_event_buffer: Events that steps say on the way (``delta``, ``data``, ``log``, ``progress``) that are kept of
            a job; the oldest make way.
        max_event_bytes: Bytes that those may have.
        open_routes: Routes that need no key even when keys are set, e.g. ``("/health/live", "/docs")``; the app
            refuses one that it does not have.
        paths: Other paths for routes, by their own: ``{"/invoke": "/predict"}``. What is below a path moves with it.
        without: Routes that the app does not have, with all below them: ``("/docs", "/metrics")``.
        metrics: The permission that ``GET /metrics`` takes, ``"read"`` or ``"admin"``; ``"off"`` and it is not served.
        title: Title in the OpenAPI document; the pipeline's name when empty.
        description: Description in the OpenAPI document; of a single pipeline its docstring when empty.
        version: Version in the OpenAPI document and in ``/info``.
    """

    max_concurrency: int = 256
    max_queue: int = 1024
    pipeline_limits: Mapping[str, Limits] = field(default_factory=dict, hash=False)
    key_concurrency: int | None = None
    key_queue: int = 0
    rate_limit: RateLimit | None = None
    request_timeout: float = 300.0
    max_batch: int = 1000
    batch_concurrency: int = 8
    max_body_bytes: int = 10 * 1024 * 1024
    body_timeout: float = 30.0
    invoke_disconnect: Literal["cancel", "continue"] = "cancel"
    threads: int = min(128, 32 * (os.cpu_count() or 1))
    affinity: Literal["any", "request"] = "any"
    trusted_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    cors: Cors | None = None
    secure_headers: SecureHeaders | None = field(default_factory=SecureHeaders)
    generate_request_ids: bool = False
    startup_budget: float = 25.0
    lazy_wait: float = 1.0
    cleanup_timeout: float = 10.0
    max_stream_age: float = 900.0
    max_token_age: float = 7 * 86400.0
    max_open_streams: int | None = None
    max_streams: int = 1000
    max_subscriptions: int = 32
    heartbeat: float = 15.0
    stream_retry: float = 2.0
    stream_disconnect: Literal["cancel", "continue"] = "cancel"
    max_jobs: int = 1000
    max_job_bytes: int = 256 * 1024 * 1024
    job_ttl: float = 86400.0
    idempotency_ttl: float = 86400.0
    job_retry_delay: float = 1.0
    max_job_retry_delay: float = 300.0
    job_heartbeat: float = 10.0
    changed_pipelines: Literal["fail", "run"] = "fail"
    job_lease: float = 30.0
    max_event_buffer: int = 256
    max_event_bytes: int = 1024 * 1024
    open_routes: tuple[str, ...] = ("/health/live",)
    paths: Mapping[str, str] = field(default_factory=dict, hash=False)
    without: tuple[str, ...] = ()
    metrics: Literal["read", "admin", "off"] = "read"
    title: str = ""
    description: str = ""
    version: str = "0.1.0"

    def __post_init__(self) -> None:
        for name in _ABOVE_0:
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"Settings({name}={getattr(self, name)!r}): must be above 0")
        if self.max_open_streams is not None and not self.max_open_streams > 0:
            raise ConfigurationError(f"Settings(max_open_streams={self.max_open_streams!r}): must be above 0, or None")
        for name in ("stream_disconnect", "invoke_disconnect"):
            if getattr(self, name) not in ("cancel", "continue"):
                raise ConfigurationError(f"Settings({name}={getattr(self, name)!r}): 'cancel' or 'continue'")
        if self.key_limits is None and self.key_queue:
            raise ConfigurationError(f"Settings(key_queue={self.key_queue!r}): say key_concurrency as well")
        if not self.job_lease > self.job_heartbeat:
            raise ConfigurationError(f"Settings(job_lease={self.job_lease!r}): must be above job_heartbeat")
        if self.changed_pipelines not in ("fail", "run"):
            raise ConfigurationError(f"Settings(changed_pipelines={self.changed_pipelines!r}): 'fail' or 'run'")
        if self.affinity not in ("any", "request"):
            raise ConfigurationError(f"Settings(affinity={self.affinity!r}): 'any' or 'request'")
        if self.metrics not in ("read", "admin", "off"):
            raise ConfigurationError(f"Settings(metrics={self.metrics!r}): 'read', 'admin' or 'off'")
        for name in ("max_queue", "startup_budget", "lazy_wait", "cleanup_timeout"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"Settings({name}={getattr(self, name)!r}): must not be negative")
        if not 1 <= self.max_token_age <= _YEAR:
            raise ConfigurationError(f"Settings(max_token_age={self.max_token_age!r}): from a second to a year")
        for name, check in (("trusted_origins", checked_origin), ("allowed_hosts", checked_host)):
            for text in _listed(getattr(self, name), name):
                check(text, f"Settings({name}=…)")

    @property
    def key_limits(self) -> Limits | None:
        """``key_concurrency`` and ``key_queue``, if callers have shares."""
        return None if self.key_concurrency is None else Limits(self.key_concurrency, self.key_queue)


def _listed(values: tuple[str, ...], name: str) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError(f"Settings({name}={values!r}): give a tuple of texts, e.g. ({values!r},)")
    return values
