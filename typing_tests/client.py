"""What a type checker sees of the clients; checked, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from datetime import date
from typing import Any, assert_type

import httpx

from pipemount import compile, pipeline, step
from pipemount.client import AsyncClient, Client, Job, Result, Retries
from pipemount.errors import PipemountError
from pipemount.runtime.events import Event


@step
def plain(number: int) -> int:
    return number


@pipeline
def bare(number: int) -> Any:
    return plain(number)


def double(number: int, *, since: date | None = None) -> float:
    return 2.0 * number


async def triple(number: int) -> list[int]:
    return [number] * 3


async def words(topic: str) -> AsyncIterator[str]:
    yield topic


def waiting(url: str, http: httpx.Client) -> None:
    assert_type(Client(url), Client[..., Any])
    assert_type(Client(url, "weather", key=None, retries=Retries(attempts=2)), Client[..., Any])
    assert_type(Client(url, bare, http=http), Client[..., Any])
    assert_type(Client(url, compile(bare), transport=httpx.HTTPTransport()), Client[..., Any])
    client = Client(url, double)
    assert_type(client.invoke(3, since=date.today()), Result[float])
    assert_type(client.invoke(3).value, float)
    assert_type(client.calling(timeout=5, idempotency_key="k").invoke(number=3), Result[float])
    assert_type(client.stream(3), Generator[Event, None, None])
    assert_type(client.submit(3), Job)
    assert_type(client.result("id"), Result[float])
    assert_type(client.batch([{"number": 1}]), list[Result[float] | PipemountError])
    assert_type(client.jobs("running", "queued"), Generator[Job, None, None])
    assert_type(Client(url, triple).invoke(3).value, list[int])
    assert_type(Client(url, words).invoke("rain").value, Any)
    client.invoke("three")  # type: ignore[arg-type]  # a number
    client.invoke(number=3, more=1)  # type: ignore[call-arg]  # no such parameter
    client.jobs("done")  # type: ignore[arg-type]  # no such status
    Client(url, wait=5)  # type: ignore[call-overload]  # options have names
    with client as entered:
        assert_type(entered.invoke(3).value, float)


async def awaiting(url: str, http: httpx.AsyncClient) -> None:
    async with AsyncClient(url, triple, http=http) as client:
        assert_type(await client.invoke(3), Result[list[int]])
        assert_type(client.stream(number=3), AsyncGenerator[Event, None])
        assert_type(client.events(await client.submit(3), after=2), AsyncGenerator[Event, None])
        assert_type(await client.cancel("id"), Job)
        await client.invoke()  # type: ignore[call-arg]  # the number is missing
    assert_type(AsyncClient(url), AsyncClient[..., Any])
