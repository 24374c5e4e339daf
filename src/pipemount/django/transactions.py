"""The request's thread and its transaction.

``ATOMIC_REQUESTS`` promises that a request's work on the database stands or falls as one. A transaction belongs to a
thread, so the promise can be kept for the steps that run in the request's own thread (``affinity="request"``), and is:
they are in one transaction, which is rolled back unless the run succeeds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from threading import get_ident
from typing import NamedTuple, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http.response import HttpResponseBase

from ..adapters.native import NativePipeline
from ..http.application import Application
from ..http.paths import locate
from ..pipelines.snapshot import Snapshot
from ..pipelines.specs import Affinity, StepSpec
from ..runtime.lending import REQUEST_THREAD
from ..runtime.loops import call_from_loop
from ..runtime.threads import Errand, Owner
from ..types import Scope

__all__ = ["SensitiveThread", "aatomic", "atomic", "atomic_aliases", "sync_steps"]

T = TypeVar("T")


def atomic(pipelines: Application, scope: Scope, answer: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """``answer()``, in a transaction where that was promised and can be given. In the request's thread."""
    aliases = _promised(pipelines, scope)
    if not aliases:
        return answer()
    with _Transaction(aliases) as opened:
        response = answer()
        opened.succeeded = response.status_code < 400
        return response


async def aatomic(
    pipelines: Application, scope: Scope, answer: Callable[[], Awaitable[HttpResponseBase]]
) -> HttpResponseBase:
    """As ``atomic``, on the loop: the transaction is the one of the thread that Django gives to this request."""
    token = REQUEST_THREAD.set(SensitiveThread())
    try:
        aliases = _promised(pipelines, scope)
        if not aliases:
            return await answer()
        opened = _Transaction(aliases)
        await sync_to_async(opened.__enter__)()
        try:
            response = await answer()
            opened.succeeded = response.status_code < 400
        finally:
            await asyncio.shield(sync_to_async(opened.close)())
        return response
    finally:
        REQUEST_THREAD.reset(token)


def atomic_aliases() -> tuple[str, ...]:
    """The databases with ``ATOMIC_REQUESTS``."""
    return tuple(alias for alias, options in connections.settings.items() if options.get("ATOMIC_REQUESTS"))


def sync_steps(pipelines: Application, name: str) -> list[tuple[StepSpec, Affinity]]:
    """The sync steps of a pipeline, mapped pipelines included, and where each runs; none for other libraries' ones."""
    compiled = pipelines.pipelines[name]
    snapshot = compiled.snapshot if isinstance(compiled, NativePipeline) else None
    return [] if snapshot is None else list(_sync_steps(snapshot, pipelines.settings.affinity))


def _sync_steps(snapshot: Snapshot, default: Affinity) -> Iterator[tuple[StepSpec, Affinity]]:
    for node in snapshot.nodes:
        if node.body is not None:
            yield from _sync_steps(node.body, default)
        elif node.step.kind == "thread":
            yield node.step, node.step.affinity or default


class SensitiveThread:
    """Django's thread for this request under ASGI (asgiref's "thread-sensitive" one), which lends itself to the run."""

    size = 1
    takes_all = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread: int | None = None

    @property
    def is_here(self) -> bool:
        """Whether this is asked in that thread, while it performs something."""
        return self._thread == get_ident()

    async def run(self, function: Callable[[], T], owner: Owner | None = None) -> T:
        """Calls ``function`` there, from any loop, under the caller's context variables."""
        errand = Errand()
        ask = sync_to_async(lambda: self._outcome(function, errand))
        here = asyncio.get_running_loop() is self._loop
        try:
            outcome = await (ask() if here else call_from_loop(self._loop, ask))
        except asyncio.CancelledError:
            errand.given_up(owner)
            raise
        if isinstance(outcome, _Raised):
            raise outcome.error
        return outcome

    def _outcome(self, function: Callable[[], T], errand: Errand) -> T | _Raised:
        """What came of it, as a value: futures refuse some exceptions."""
        errand.begin()
        around, self._thread = self._thread, get_ident()
        try:
            return function()
        except BaseException as error:
            return _Raised(error)
        finally:
            self._thread = around
            errand.end()


class _Raised(NamedTuple):
    error: BaseException


def _promised(pipelines: Application, scope: Scope) -> tuple[str, ...]:
    aliases = atomic_aliases()
    if not aliases or scope["method"] != "POST":
        return ()
    rest = locate(scope)[1]
    asked = next((r.pipeline for r in pipelines.route_table if r.path == rest and r.endpoint == "invoke"), None)
    within = asked is not None and any(where == "request" for _, where in sync_steps(pipelines, asked))
    return aliases if within else ()


class _Transaction:
    """One transaction on each database; committed only if told that all went well."""

    def __init__(self, aliases: tuple[str, ...]) -> None:
        self._aliases, self._stack = aliases, ExitStack()
        self.succeeded = False

    def __enter__(self) -> _Transaction:
        with ExitStack() as stack:
            for alias in self._aliases:
                stack.enter_context(transaction.atomic(using=alias))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Commits, or rolls back."""
        if not self.succeeded:
            for alias in self._aliases:
                transaction.set_rollback(True, using=alias)
        self._stack.close()
