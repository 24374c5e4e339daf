"""Reading a request's body: under a deadline, and without a place for a run while it is on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from time import monotonic
from typing import Any

from pydantic_core import from_json, to_json

from ..errors import MalformedRequestError, RequestTimeoutError
from ..errors.request import rate_headers
from ..runtime.admission import Admission, Ticket, caller_of
from ..runtime.guard import guard
from ..runtime.rates import Rates
from ..types import Principal
from .exchange import Exchange
from .finite import refuse_non_finite
from .problems import Headers

__all__ = ["Resumed", "Visit", "pacer", "plain_json", "read_body", "tell_quota"]

GRACE = 0.01
"""Seconds that a body may be on its way before its request gives its place back."""

PACE = 16 * 1024
"""Bytes for which a body has one second more."""


async def read_body(
    exchange: Exchange,
    limit: int,
    declared: int | None,
    timeout: float,
    first: Awaitable[None] | None = None,
    late: Callable[[], object] | None = None,
) -> bytes:
    """The whole body of a request. On an event loop.

    Args:
        exchange: The request.
        limit: Bytes; reading stops as soon as they are exceeded.
        declared: The ``Content-Length``, if there is one.
        timeout: Seconds in which the body is to come, and one more for each ``PACE`` bytes of it.
        first: Hears its first message, where somebody has begun to.
        late: Called once if the body is still not there after ``GRACE``.

    Raises:
        RequestTimeoutError: It took longer. What came is forgotten.
        BodyTooLargeError, MalformedRequestError, ClientLeftError: As ``Exchange.read``.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    timer = None if late is None else loop.call_later(GRACE, late)
    try:
        async with asyncio.timeout_at(began + timeout) as deadline:

            def allow(size: int) -> None:
                deadline.reschedule(began + timeout + size / PACE)

            if "type" not in exchange.message:
                await (first or exchange.hear())
            return await exchange.read(limit, declared, allow)
    except TimeoutError:
        if not deadline.expired():
            raise
        error = RequestTimeoutError(timeout=timeout)
        if exchange.scope.get("http_version", "1.1") < "2":  # RFC 9110, 15.5.9; later versions have no such header
            error.headers = {"connection": "close"}
        raise error from None
    finally:
        if timer is not None:
            timer.cancel()


def plain_json(sent: bytes, what: str = "the body") -> bytes:
    """The same JSON, as short as can be. Raises ``MalformedRequestError`` where it is none."""
    try:
        plain = to_json(from_json(sent, allow_inf_nan=False))
    except ValueError as error:
        raise MalformedRequestError(f"{what} is not JSON that this app reads: {error}") from None
    refuse_non_finite(sent, what)
    return plain


def pacer(timeout: float) -> Callable[[int], None]:
    """What is told how many bytes have come, and raises when they took too long. In a thread that waits for them."""
    began = monotonic()

    def check(size: int) -> None:
        if monotonic() - began > timeout + size / PACE:
            raise RequestTimeoutError(timeout=timeout)

    return check


class Resumed:
    """Awaits what was begun and has suspended: ``suspended`` is what it gave, ``rest`` where it goes on."""

    __slots__ = ("_rest", "_suspended")

    def __init__(self, suspended: Any, rest: Generator[Any, None, None]) -> None:
        self._suspended, self._rest = suspended, rest

    def __await__(self) -> Generator[Any, Any, None]:
        suspended = self._suspended
        while True:
            try:
                yield suspended
            except BaseException as error:
                try:
                    suspended = self._rest.throw(error)  # one of its own, as of a task group in it: it goes on
                except StopIteration:  # the cancellation came too late
                    return
            else:
                yield from self._rest
                return


class Visit:
    """A request that has a place, gives it back while its body is on its way, and comes back for another.

    Attributes:
        has_place: Whether there is one to give back in the end.
        waited: Seconds that it has waited for one.
    """

    def __init__(self, admission: Admission, pipeline: str, who: Principal | None) -> None:
        self._admission, self._pipeline, self._who = admission, pipeline, who
        self._away = False
        self.has_place, self.waited, self._began = True, 0.0, monotonic()

    def step_aside(self) -> None:
        """Give the place back, unless that was done or too many have done so."""
        if self.has_place:
            self._away = self._admission.step_aside(self._pipeline, self._who)
            self.has_place = not self._away

    async def come_back(self, timeout: float, deadline: float | None = None) -> None:
        """With the body: take a place again. Raises ``DeadlineExceededError`` as ``guard`` does."""
        if not self._away:
            return
        self._away = False
        await self._wait(self._admission.come_back(self._pipeline, self._who), timeout, deadline)
        self.has_place = True

    async def wait(self, timeout: float) -> None:
        """There was no place on arrival: wait for one. Raises as ``come_back``, and ``OverloadedError``."""
        await self._wait(self._admission.line_up(self._pipeline, self._who, timeout), timeout, None)
        self.has_place = True

    async def _wait(self, ticket: Ticket, timeout: float, deadline: float | None) -> None:
        began = monotonic()
        await guard(ticket.place(), timeout, deadline=deadline)
        self.waited += monotonic() - began

    def end(self) -> None:
        """It does not come back; a place that it has is given back."""
        if self.has_place:
            self._admission.leave(monotonic() - self._began, self._pipeline, self._who)
        elif self._away:
            self._admission.stay_away(self._pipeline, self._who)
        self._away = self.has_place = False


def tell_quota(exchange: Exchange, admission: Admission) -> None:
    """Have the answer say what is left of the caller's quota, if there is one."""
    if admission.rates is not None:
        exchange.quota = partial(_quota_headers, admission.rates, exchange.principal)


def _quota_headers(rates: Rates, who: Principal | None) -> Headers:
    """As of draft-ietf-httpapi-ratelimit-headers."""
    left, reset = rates.left(caller_of(who))
    told = rate_headers(rates.policy.quota, rates.policy.window, left=left, reset=reset)
    return [(name.encode(), value.encode()) for name, value in told.items()]
