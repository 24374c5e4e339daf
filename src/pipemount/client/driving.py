"""The two drivers of flows: one waits, one awaits. Whatever is decided, is decided in the flow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import httpx

from ..errors import ConfigurationError, ForeignAnswerError, NoAnswerError, UnreachableError
from ..errors.remote import without_secrets
from .effects import Ask, Effect, Flow, Give, Open, Read, Reply, Request, Wait

__all__ = ["OURS", "AsyncDriver", "Driver"]

T = TypeVar("T")

OURS: Mapping[str, Any] = {
    "limits": httpx.Limits(max_connections=None, max_keepalive_connections=20),
    "timeout": httpx.Timeout(None, connect=10.0, write=60.0),
}
"""Options of HTTP clients of our own: a stream has its connection as long as it lasts, and no request waits for one to
end; how long an answer may take, each call knows itself."""


class Left(BaseException):
    """Raised in a flow whose items nobody wants any more; it may still say so, and gives nothing."""


class Ended(NamedTuple):
    """A flow's result."""

    value: Any


def advance(flow: Flow[Any], given: Any = None, error: BaseException | None = None) -> Effect | Ended:
    """What a flow does next when it is given what it asked for, or the error of that."""
    try:
        return flow.send(given) if error is None else flow.throw(error)
    except StopIteration as ended:
        return Ended(ended.value)


class Driver:
    """Drives flows in the thread that calls.

    Args:
        http: Sends the requests.
        headers: Of every request.
        sleep: Waits.
    """

    def __init__(self, http: httpx.Client, headers: Mapping[str, str], sleep: Callable[[float], object]) -> None:
        self.http, self._headers, self._sleep = http, headers, sleep

    def run(self, flow: Flow[T]) -> T:
        """The flow's result; what it gives on the way is dropped."""
        each = self.each(flow)
        while True:
            try:
                next(each)
            except StopIteration as ended:
                found: T = ended.value
                return found

    def each(self, flow: Flow[T]) -> Generator[Any, None, T]:
        """What the flow gives, one after the other."""
        line = _Line(self.http, self._headers, self._sleep)
        try:
            effect = advance(flow)
            while not isinstance(effect, Ended):
                try:
                    given = (yield effect.item) if isinstance(effect, Give) else line.perform(effect)
                except GeneratorExit:
                    effect = advance(flow, error=Left())
                except BaseException as error:
                    effect = advance(flow, error=error)
                else:
                    effect = advance(flow, given)
            result: T = effect.value
            return result
        except Left:
            raise GeneratorExit from None
        finally:
            line.close()


class _Line:
    """A driver's hands: one flow, and the stream that it has open."""

    def __init__(self, http: httpx.Client, headers: Mapping[str, str], sleep: Callable[[float], object]) -> None:
        self._http, self._headers, self._sleep = http, headers, sleep
        self._response: httpx.Response | None = None

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Ask(request) | Open(request):
                with translated(request.url):
                    return self._send(request, stream=isinstance(effect, Open))
            case Read():
                with translated(str(self._response and self._response.url)):
                    return next(self._chunks, b"")
            case Wait(seconds):
                self._sleep(seconds)
            case _:
                self.close()
        return None

    def _send(self, request: Request, *, stream: bool) -> Reply:
        self.close()
        made = self._http.build_request(**_arguments(request, self._headers, self._http.timeout))
        self._response = self._http.send(made, stream=True, follow_redirects=False)
        if stream and self._response.status_code == 200:
            self._chunks = self._response.iter_bytes()
            return _reply(self._response, b"")
        body = self._response.read()
        return _reply(self._response, body)

    def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()


class AsyncDriver:
    """Drives flows on the loop that calls. Arguments as of ``Driver``."""

    def __init__(
        self, http: httpx.AsyncClient, headers: Mapping[str, str], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self.http, self._headers, self._sleep = http, headers, sleep

    async def run(self, flow: Flow[T]) -> T:
        """The flow's result; what it gives on the way is dropped."""
        line = _AsyncLine(self.http, self._headers, self._sleep)
        try:
            effect = advance(flow)
            while not isinstance(effect, Ended):
                try:
                    given = await line.perform(effect)
                except BaseException as error:
                    effect = advance(flow, error=error)
                else:
                    effect = advance(flow, given)
            result: T = effect.value
            return result
        finally:
            await line.close()

    async def each(self, flow: Flow[Any]) -> AsyncGenerator[Any, None]:
        """What the flow gives, one after the other."""
        line = _AsyncLine(self.http, self._headers, self._sleep)
        try:
            effect = advance(flow)
            while not isinstance(effect, Ended):
                try:
                    given = (yield effect.item) if isinstance(effect, Give) else await line.perform(effect)
                except GeneratorExit:
                    effect = advance(flow, error=Left())
                except BaseException as error:
                    effect = advance(flow, error=error)
                else:
                    effect = advance(flow, given)
        except Left:
            raise GeneratorExit from None
        finally:
            await line.close()


class _AsyncLine:
    """``_Line``, awaited."""

    def __init__(
        self, http: httpx.AsyncClient, headers: Mapping[str, str], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._http, self._headers, self._sleep = http, headers, sleep
        self._response: httpx.Response | None = None

    async def perform(self, effect: Effect) -> Any:
        match effect:
            case Ask(request) | Open(request):
                with translated(request.url):
                    return await self._send(request, stream=isinstance(effect, Open))
            case Read():
                with translated(str(self._response and self._response.url)):
                    return await anext(self._chunks, b"")
            case Wait(seconds):
                await self._sleep(seconds)
            case _:
                await self.close()
        return None

    async def _send(self, request: Request, *, stream: bool) -> Reply:
        await self.close()
        made = self._http.build_request(**_arguments(request, self._headers, self._http.timeout))
        self._response = await self._http.send(made, stream=True, follow_redirects=False)
        if stream and self._response.status_code == 200:
            self._chunks = self._response.aiter_bytes()
            return _reply(self._response, b"")
        body = await self._response.aread()
        return _reply(self._response, body)

    async def close(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            await asyncio.shield(response.aclose())


# ----------------------------------------------------------------------------------------- what both share


def _arguments(request: Request, headers: Mapping[str, str], timeout: httpx.Timeout) -> dict[str, Any]:
    """Those of ``build_request``. Connecting and sending take as long as the HTTP client says."""
    return {
        "method": request.method,
        "url": request.url,
        "headers": {**headers, **request.headers},
        "content": request.content,
        "timeout": httpx.Timeout(request.wait, connect=timeout.connect, write=timeout.write, pool=timeout.pool),
    }


def _reply(response: httpx.Response, body: bytes) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(without_secrets(str(response.url)), response.status_code, headers, body)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raises httpx's errors as ours."""
    try:
        yield
    except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
        raise NoAnswerError(url=url) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise ConfigurationError(f"{without_secrets(url)} cannot be asked: {error}") from error
    except httpx.DecodingError as error:
        detail = f"the answer of {without_secrets(url)} cannot be decoded: {error}"
        raise ForeignAnswerError(detail, status=200) from error
    except httpx.TransportError as error:
        raise UnreachableError(url=url, reason=str(error)) from error
