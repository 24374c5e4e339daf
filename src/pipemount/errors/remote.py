"""What a client finds at an address instead of an answer."""

from __future__ import annotations

from urllib.parse import urlsplit

from .base import PipemountError

__all__ = ["ForeignAnswerError", "NoAnswerError", "RemoteError", "UnreachableError", "without_secrets"]


class RemoteError(PipemountError):
    """A client got no answer that it can use. What the server makes of the request is not known."""

    code = "remote"
    status = 502


class UnreachableError(RemoteError):
    """Nothing answers at the address, or the connection broke; the cause is httpx's error."""

    code = "unreachable"

    def __init__(self, *, url: str, reason: str) -> None:
        self.url, self.reason = without_secrets(url), reason
        super().__init__(f"{self.url} cannot be reached: {reason or 'the connection broke'}")


class NoAnswerError(RemoteError, TimeoutError):
    """The answer did not come within the time that the client waits."""

    code = "no-answer"
    status = 504

    def __init__(self, *, url: str) -> None:
        self.url = without_secrets(url)
        super().__init__(f"{self.url} did not answer in time; what it does with the request is not known")


class ForeignAnswerError(RemoteError):
    """An answer that is not one of pipemount's: of another application, of a proxy, or of another version."""

    code = "foreign-answer"
    title = "Not an answer of pipemount"

    def __init__(self, detail: str, *, status: int, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.retry_after = status, retry_after


def without_secrets(url: str) -> str:
    """``url`` as it may be told: a password may stand before the host, a token in the query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
