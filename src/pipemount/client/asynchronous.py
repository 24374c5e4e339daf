"""``AsyncClient``: a served pipeline for async code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

import httpx

from ..errors import PipemountError
from ..jobs.models import JobStatus
from ..runtime.events import Event
from ..types import JsonObject
from .base import AsyncOptions, Base, Untraced, job_id_of
from .driving import OURS, AsyncDriver
from .records import Job, Result

__all__ = ["AsyncClient"]

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient(Base[P, R]):
    """``Client``, awaited; arguments and verbs are the same.

    ::

        async with AsyncClient("https://shop.example/ai", weather, key=key) as client:
            (await client.invoke(city="Oslo")).value
            async for event in client.stream(city="Oslo"): ...

    Belongs to the event loop that it is first used on. Leaving a ``stream`` early cancels its run when the iterator is
    closed: ``contextlib.aclosing`` does so at once.
    """

    @overload
    def __init__(
        self: AsyncClient[..., Any], url: str, pipeline: Untraced = None, **options: Unpack[AsyncOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncClient[P, R],
        url: str,
        pipeline: Callable[P, Coroutine[Any, Any, R]],
        **options: Unpack[AsyncOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncClient[P, Any],
        url: str,
        pipeline: Callable[P, Iterator[Any] | AsyncIterator[Any]],
        **options: Unpack[AsyncOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: AsyncClient[P, R], url: str, pipeline: Callable[P, R], **options: Unpack[AsyncOptions]
    ) -> None: ...
    def __init__(self, url: str, pipeline: Any = None, **options: Any) -> None:
        http, transport = options.pop("http", None), options.pop("transport", None)
        sleep = options.pop("sleep", asyncio.sleep)
        self._set_up(url, pipeline, relative=http is not None, **options)
        self._owns = http is None
        self._driver = AsyncDriver(http or httpx.AsyncClient(transport=transport, **OURS), self._headers, sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that it opened itself."""
        if self._owns:
            await self._driver.http.aclose()

    # -------------------------------------------------------------------------------------------- running

    async def invoke(self, /, *args: P.args, **inputs: P.kwargs) -> Result[R]:
        """See ``Client.invoke``."""
        return await self._driver.run(self._verbs.invoke(args, inputs))

    def stream(self, /, *args: P.args, **inputs: P.kwargs) -> AsyncGenerator[Event, None]:
        """See ``Client.stream``."""
        return self._driver.each(self._verbs.stream(args, inputs))

    async def batch(self, inputs: Iterable[Mapping[str, Any]]) -> list[Result[R] | PipemountError]:
        """See ``Client.batch``."""
        return await self._driver.run(self._verbs.batch(inputs))

    # ----------------------------------------------------------------------------------------------- jobs

    async def submit(self, /, *args: P.args, **inputs: P.kwargs) -> Job:
        """See ``Client.submit``."""
        return await self._driver.run(self._verbs.submit(args, inputs))

    async def result(self, job: Job | str) -> Result[R]:
        """See ``Client.result``."""
        return await self._driver.run(self._verbs.result(job_id_of(job)))

    def events(self, job: Job | str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """See ``Client.events``."""
        return self._driver.each(self._verbs.events(job_id_of(job), after))

    async def job(self, job: Job | str) -> Job:
        """See ``Client.job``."""
        return await self._driver.run(self._verbs.job(job_id_of(job)))

    def jobs(self, *status: JobStatus, limit: int = 50) -> AsyncGenerator[Job, None]:
        """See ``Client.jobs``."""
        return self._driver.each(self._verbs.jobs(status, limit))

    async def cancel(self, job: Job | str) -> Job:
        """See ``Client.cancel``."""
        return await self._driver.run(self._verbs.cancel(job_id_of(job)))

    async def retry(self, job: Job | str) -> Job:
        """See ``Client.retry``."""
        return await self._driver.run(self._verbs.retry(job_id_of(job)))

    async def resume(self, job: Job | str, answer: Any) -> Job:
        """See ``Client.resume``."""
        return await self._driver.run(self._verbs.resume(job_id_of(job), answer))

    async def delete(self, job: Job | str) -> None:
        """See ``Client.delete``."""
        await self._driver.run(self._verbs.delete(job_id_of(job)))

    # ---------------------------------------------------------------------------------------- what is there

    async def pipelines(self) -> list[JsonObject]:
        """See ``Client.pipelines``."""
        return await self._driver.run(self._verbs.pipelines())

    async def info(self) -> JsonObject:
        """See ``Client.info``."""
        return await self._driver.run(self._verbs.info())

    async def status(self) -> JsonObject:
        """See ``Client.status``."""
        return await self._driver.run(self._verbs.status())
