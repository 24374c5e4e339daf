"""What the service cannot do at the moment, or not at all."""

from __future__ import annotations

from .base import PipemountError

__all__ = ["StoreError", "UnavailableError", "UnsupportedError", "ValueLostError"]


class UnavailableError(PipemountError):
    """Starting, failed to start, draining or stopped: come back after ``retry_after`` seconds.

    ``code`` tells which: ``starting``, ``start-failed``, ``draining``.
    """

    code = "unavailable"
    status = 503

    def __init__(self, detail: str, *, retry_after: int = 1, code: str = "unavailable") -> None:
        super().__init__(detail)
        self.detail_code = code
        self.retry_after = retry_after
        self.headers = {"retry-after": str(retry_after)}


class UnsupportedError(PipemountError):
    """The request is understood but this version or this server cannot do it."""

    code = "not-implemented"
    status = 501


class StoreError(PipemountError):
    """The store of jobs cannot be used: come back after ``retry_after`` seconds. What needs no job is answered."""

    code = "store"
    status = 503

    def __init__(self, detail: str, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.headers = {"retry-after": str(retry_after)}


class ValueLostError(StoreError):
    """A large value of a job is not where it was put, or is not what was put there.

    Attributes:
        name: Of the file, below the address of the values.
        why: What is wrong with it.
    """

    code = "value-lost"
    status = 500

    def __init__(self, *, name: str, why: str) -> None:
        super().__init__(f"the value {name} of a job is lost: {why}")
        self.headers = {}
        self.name, self.why = name, why
