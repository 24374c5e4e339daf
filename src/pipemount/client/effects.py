"""What the verbs of a client ask for: they are generators of these, and two short drivers do it.

As httpx's ``auth_flow``: a verb is written once, does no I/O, and is driven with waiting or with awaiting.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

__all__ = ["Ask", "Close", "Effect", "Flow", "Give", "Open", "Read", "Reply", "Request", "Wait"]

T = TypeVar("T")


class Request(NamedTuple):
    """An HTTP request.

    Attributes:
        method: In capitals.
        url: Whole, or relative to the ``base_url`` of the HTTP client.
        headers: Beside those of every request.
        content: The body.
        wait: Seconds of silence after which no answer is expected any more; ``None`` for as long as it takes.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    wait: float | None = None


class Reply(NamedTuple):
    """What came back; of a stream that is open, the body is empty. Names of headers are in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Ask(NamedTuple):
    """Send a request and read the whole answer. Gives a ``Reply``; raises ``RemoteError``."""

    request: Request


class Open(NamedTuple):
    """As ``Ask``, but of an answer with the status 200 the body is left to be ``Read``."""

    request: Request


class Read(NamedTuple):
    """The next bytes of the stream that is open; ``b""`` at its end. Raises ``RemoteError``."""


class Close(NamedTuple):
    """Close the stream that is open, if there is one."""


class Wait(NamedTuple):
    """Nothing, for so many seconds."""

    seconds: float


class Give(NamedTuple):
    """Something for whoever iterates over what the verb gives."""

    item: Any


Effect: TypeAlias = Ask | Open | Read | Close | Wait | Give
Flow: TypeAlias = Generator[Effect, Any, T]
"""A verb on its way: yields effects, is sent what they give, returns its result."""
