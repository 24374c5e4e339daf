"""What a client finds at an address instead of an answer."""

from __future__ import annotations

from .base import PipemountError

__all__ = ["ForeignAnswerError", "NoAnswerError", "RemoteError", "UnreachableError"]


class RemoteError(PipemountError):
    """A client got no answer that it can use. What the server makes of the request is not known."""

    code = "remote"
    status = 502


class UnreachableError(RemoteError):
    """Nothing answers at the address, or the connection broke; the cause is httpx's error."""

    code = "unreachable"

    def __init__(self, *, url: str, reason: str) -> None:
        super().__init__(f"{url} cannot be reached: {reason or 'the connection broke'}")
        self.url, self.reason = url, reason


class NoAnswerError(RemoteError, TimeoutError):
    """The answer did not come within the time that the client waits."""

    code = "no-answer"
    status = 504

    def __init__(self, *, url: str) -> None:
        super().__init__(f"{url} did not answer in time; what it does with the request is not known")
        self.url = url


class ForeignAnswerError(RemoteError):
    """An answer that is not one of pipemount's: of another application, of a proxy, or of another version."""

    code = "foreign-answer"
    title = "Not an answer of pipemount"

    def __init__(self, detail: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.retry_after = status, retry_after
