"""What the two clients have in common: how they are set up, and on which terms they call."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Generic, ParamSpec, Self, TypeAlias, TypedDict, TypeVar

import httpx

from ..adapters.protocol import CompiledPipeline
from ..errors import ConfigurationError, NotFoundError
from ..pipelines.authoring import PipelineDefinition
from ..pipelines.options import checked_job
from ..types import VERSION
from .address import Address
from .interface import Typed, interface_of
from .records import Job
from .retrying import Retries
from .verbs import Terms, Verbs

__all__ = ["AsyncOptions", "Base", "SyncOptions", "Untraced", "job_id_of"]

P = ParamSpec("P")
R = TypeVar("R")

Untraced: TypeAlias = CompiledPipeline | PipelineDefinition | str | None
"""A pipeline of which a type checker knows neither parameters nor value; or none."""


class Options(TypedDict, total=False):
    """What both clients take; see ``Client``."""

    key: str | None
    token: str | None
    name: str | None
    retries: Retries | None
    headers: Mapping[str, str] | None
    paths: Mapping[str, str] | None


class SyncOptions(Options, total=False):
    """What ``Client`` takes beside."""

    http: httpx.Client | None
    transport: httpx.BaseTransport | None
    sleep: Callable[[float], object]


class AsyncOptions(Options, total=False):
    """What ``AsyncClient`` takes beside."""

    http: httpx.AsyncClient | None
    transport: httpx.AsyncBaseTransport | None
    sleep: Callable[[float], Awaitable[object]]


class Base(Generic[P, R]):
    """An address, what is known of the pipeline there, and the terms of calls."""

    _verbs: Verbs
    _headers: Mapping[str, str]
    _owns = True

    def _set_up(
        self,
        url: str,
        pipeline: Any,
        *,
        relative: bool,
        key: str | None = None,
        token: str | None = None,
        name: str | None = None,
        retries: Retries | None = None,
        headers: Mapping[str, str] | None = None,
        paths: Mapping[str, str] | None = None,
    ) -> None:
        interface = interface_of(pipeline)
        own = interface.compiled.info.name if isinstance(interface, Typed) else pipeline
        address = Address.of(url, name or own, relative=relative, token=token, paths=paths)
        self._verbs = Verbs(address, interface, retries or Retries())
        self._headers = {"user-agent": f"pipemount/{VERSION}", **(headers or {}), **_authorization(key)}

    def calling(
        self,
        *,
        timeout: float | None = None,
        run_name: str | None = None,
        steps: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        expires: float | None = None,
    ) -> Self:
        """This client on terms of their own, over the same connections.

        ::

            client.calling(timeout=5, idempotency_key=order.id).invoke(city="Oslo")

        Args:
            timeout: Seconds that the run may take, within the app's limit, and all attempts together; of ``result`` and
                ``events`` the seconds that are waited.
            run_name: For people; may hold ``{date}``, ``{time}`` and ``{run_id}``.
            steps: Overrides of steps' own default parameters: ``{"describe": {"parameters": {"unit": "F"}}}``.
            idempotency_key: Makes requests one that have it and ask for the same: the run happens once, and a broken
                connection is no reason not to ask again.
            expires: Seconds in which the run is to be begun, a job for instance; later it is not, and has failed with a
                ``JobExpiredError``.

        Raises:
            ConfigurationError: One of them cannot be used.
        """
        terms = Terms(timeout=timeout, run_name=run_name, steps=steps, idempotency_key=idempotency_key, expires=expires)
        made = copy.copy(self)
        made._verbs, made._owns = replace(self._verbs, terms=terms), False
        return made


def _authorization(key: str | None) -> Mapping[str, str]:
    if key is None:
        return {}
    if not (key.isascii() and key.isprintable() and key.strip()):
        raise ConfigurationError("the key has characters that no header can carry; was it read rightly?")
    return {"authorization": f"Bearer {key}"}


def job_id_of(job: Job | str) -> str:
    """The id of a job, which may be given in its place."""
    if (found := checked_job(job)) in NO_SEGMENT:
        raise NotFoundError(f"no such job: {found!r}")
    return found


NO_SEGMENT = ("", ".", "..")
"""What leads elsewhere in a path."""
