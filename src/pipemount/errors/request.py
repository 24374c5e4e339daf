"""The caller's faults, answered 4xx."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .base import PipemountError

__all__ = [
    "BodyTooLargeError",
    "CrossOriginError",
    "CsrfFailedError",
    "EventsPrunedError",
    "ForbiddenError",
    "HostNotAllowedError",
    "IdempotencyMismatchError",
    "IdempotencyRunningError",
    "InvalidInputsError",
    "JobEndedError",
    "JobNotEndedError",
    "JobNotSuspendedError",
    "LengthRequiredError",
    "MalformedRequestError",
    "MethodNotAllowedError",
    "NotAcceptableError",
    "NotFoundError",
    "OverloadedError",
    "RateLimitedError",
    "RequestError",
    "RequestTimeoutError",
    "TooManyStreamsError",
    "UnauthenticatedError",
    "UnsupportedMediaTypeError",
    "rate_headers",
]


class RequestError(PipemountError):
    """The caller's fault; nothing was executed."""

    code = "request"
    status = 400


class MalformedRequestError(RequestError):
    """Not JSON, a wrong encoding, nested too deeply, or two credentials in one request."""

    code = "malformed-request"


class UnauthenticatedError(RequestError):
    """No key, or a wrong one (RFC 9110, section 15.5.2).

    Args:
        detail: The sentence that the caller sees.
        challenges: Values of ``WWW-Authenticate``, one per accepted scheme.
    """

    code = "unauthenticated"
    status = 401

    def __init__(self, detail: str, *, challenges: Sequence[str]) -> None:
        super().__init__(detail)
        self.challenges = tuple(challenges)
        self.headers = {"www-authenticate": ", ".join(challenges)}

    def for_script(self) -> UnauthenticatedError:
        """The same for a page's script: a browser that is asked for Basic opens a dialog, and the script waits."""
        quiet = [challenge for challenge in self.challenges if not challenge.startswith("Basic ")]
        return UnauthenticatedError(str(self), challenges=quiet or self.challenges)


class ForbiddenError(RequestError):
    """The key or the user is known but lacks the permission; or nobody is logged in (``principal`` is ``None``)."""

    code = "forbidden"
    status = 403

    def __init__(self, *, permission: str, principal: str | None) -> None:
        lacking = f"{principal!r} lacks the permission {permission!r}"
        super().__init__("log in first: this route is for users of the host" if principal is None else lacking)
        self.permission, self.principal = permission, principal

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"permission": self.permission}


class CrossOriginError(RequestError):
    """A page of another origin had a browser use a login that it sends by itself, or open a WebSocket."""

    code = "cross-origin"
    status = 403

    def __init__(self, *, origin: str, socket: bool = False) -> None:
        way_in = "post from its own pages, present a key, send the host's CSRF token in its header"
        if socket:
            way_in = "open the WebSocket from its own pages, present a key or a signed token"
        super().__init__(
            f"{origin!r} is not this app's own origin: {way_in}, or have Settings(trusted_origins=…) name that origin"
        )
        self.origin = origin


class CsrfFailedError(RequestError):
    """A request with a cookie lacks the token by which the host knows its own pages, or its origin is not trusted."""

    code = "csrf-failed"
    title = "CSRF check failed"
    status = 403

    def __init__(self, *, reason: str, header: str) -> None:
        super().__init__(
            f"{reason.rstrip('.')}: send the token that this site gave the browser in the header {header}, "
            "or present a key instead of a cookie"
        )
        self.reason, self.header = reason, header


class NotFoundError(RequestError):
    """Nothing is served at this path."""

    code = "not-found"
    status = 404


class MethodNotAllowedError(RequestError):
    """The path exists, the method does not."""

    code = "method-not-allowed"
    status = 405

    def __init__(self, *, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not allowed here; use {' or '.join(allowed)}")
        self.headers = {"allow": ", ".join(allowed)}


class NotAcceptableError(RequestError):
    """The caller accepts no media type that this route can produce."""

    code = "not-acceptable"
    status = 406


class RequestTimeoutError(RequestError):
    """The request's body did not come in the time that it may take (RFC 9110, section 15.5.9)."""

    code = "request-timeout"
    status = 408

    def __init__(self, *, timeout: float) -> None:
        super().__init__(f"the request's body was not there within {timeout:g} s; send it without pauses")
        self.timeout = timeout


class JobEndedError(RequestError):
    """A job cannot be cancelled any more, for it has succeeded or failed; or not retried, for it has succeeded."""

    code = "job-ended"
    status = 409

    def __init__(self, *, job_status: str, wish: str = "be cancelled any more") -> None:
        super().__init__(f"the job has {job_status} and cannot {wish}; GET it for what it gave")
        self.job_status = job_status

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"job_status": self.job_status}


class JobNotEndedError(RequestError):
    """A job cannot be deleted, nor retried, before it has ended."""

    code = "job-not-ended"
    status = 409

    def __init__(self, *, job_status: str, wish: str = "delete") -> None:
        super().__init__(f"the job is {job_status}; cancel it, and {wish} it when it has ended")
        self.job_status = job_status

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"job_status": self.job_status}


class JobNotSuspendedError(RequestError):
    """A job asks nothing, so there is nothing to answer: it runs, has ended, or somebody has answered before."""

    code = "job-not-suspended"
    status = 409

    def __init__(self, *, job_status: str) -> None:
        super().__init__(f"the job is {job_status} and asks nothing; only a suspended one takes an answer")
        self.job_status = job_status

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"job_status": self.job_status}


class IdempotencyRunningError(RequestError):
    """The first request with this ``Idempotency-Key`` still runs."""

    code = "idempotency-running"
    status = 409

    def __init__(self, *, job_id: str) -> None:
        super().__init__("the first request with this Idempotency-Key still runs; try again, or follow its job")
        self.job_id = job_id
        self.headers = {"retry-after": "1"}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"job_id": self.job_id}


class EventsPrunedError(RequestError):
    """The events that a reader wants to go on with are not kept any more.

    Args:
        after: The number of the last event that it has.
        first_event: From this number on all events are kept.
    """

    code = "events-pruned"
    status = 410

    def __init__(self, *, after: int, first_event: int) -> None:
        super().__init__(
            f"the events behind number {after} are not all kept any more; go on after {first_event - 1}, or read from "
            "the start, where a missed event stands for them"
        )
        self.after, self.first_event = after, first_event

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"after": self.after, "first_event": self.first_event}


class LengthRequiredError(RequestError):
    """The body comes in chunks, which the server does not put together."""

    code = "length-required"
    status = 411


class BodyTooLargeError(RequestError):
    """The body is over the app's limit; reading stopped there."""

    code = "body-too-large"
    status = 413

    def __init__(self, *, limit: int) -> None:
        super().__init__(f"the request body is over the limit of {limit} bytes")
        self.limit = limit

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"limit": self.limit}


class UnsupportedMediaTypeError(RequestError):
    """The body is not declared as JSON."""

    code = "unsupported-media-type"
    status = 415


class HostNotAllowedError(RequestError):
    """The request's ``Host`` is none of the app's (RFC 9110, section 15.5.20)."""

    code = "host-not-allowed"
    title = "Host not allowed"
    status = 421

    def __init__(self, *, host: str) -> None:
        super().__init__(
            f"this app does not answer for the host {host!r}; Settings(allowed_hosts=…) lists those it does"
        )
        self.host = host


class InvalidInputsError(RequestError):
    """The inputs fail the pipeline's schema; nothing was executed.

    Args:
        errors: One mapping per fault with ``loc`` (path of keys and indexes), ``msg`` and ``type``.
            The value that failed is never among them.
    """

    code = "invalid-inputs"
    status = 422

    def __init__(self, *, errors: Sequence[Mapping[str, Any]]) -> None:
        where = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}" for e in errors[:3])
        super().__init__(where + ("; …" if len(errors) > 3 else ""))
        self.errors = tuple(errors)

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"errors": self.errors}


class IdempotencyMismatchError(RequestError):
    """An ``Idempotency-Key`` came with another request before; nothing was executed."""

    code = "idempotency-mismatch"
    status = 422

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key came with another request before; give each request a key of its own")


class OverloadedError(RequestError):
    """Running and queued runs are both at their limit.

    Args:
        retry_after: Seconds until a place is likely to be free.
        full: What is: ``app``, ``pipeline`` or ``key``, which tells whether another pipeline or key would be served.
    """

    code = "overloaded"
    status = 429

    def __init__(self, *, retry_after: int, full: str = "app") -> None:
        whose = "" if full == "app" else f" of this {full}"
        super().__init__(f"all places{whose} are taken; try again in {retry_after} s")
        self.retry_after, self.full = retry_after, full
        self.headers = {"retry-after": str(retry_after)}

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"full": self.full}


class RateLimitedError(RequestError):
    """The caller has asked as often as it may for now (draft-ietf-httpapi-ratelimit-headers).

    Args:
        quota: How often it may ask.
        window: In how many seconds.
        retry_after: Seconds until it may ask again.
    """

    code = "quota-exceeded"
    status = 429

    def __init__(self, *, quota: int, window: float, retry_after: float) -> None:
        seconds = max(1, math.ceil(retry_after))  # no sooner than the header of the quota says
        super().__init__(f"the quota of {quota} per {window:g} s is used up; try again in {seconds} s")
        self.quota, self.window, self.retry_after = quota, window, seconds
        self.headers = {"retry-after": str(seconds), **rate_headers(quota, window, left=0, reset=seconds)}

    @property
    def docs_url(self) -> str:
        """The type that is registered for this problem."""
        return "https://iana.org/assignments/http-problem-types#quota-exceeded"

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"violated-policies": [POLICY], "quota": self.quota, "window": self.window}


POLICY = "default"
"""The name of the one policy that an app has."""


def rate_headers(quota: int, window: float, *, left: int, reset: int) -> Mapping[str, str]:
    """What a caller is told of its quota, as structured fields (RFC 9651)."""
    return {
        "ratelimit-policy": f'"{POLICY}";q={quota};w={math.ceil(window)}',
        "ratelimit": f'"{POLICY}";r={left};t={reset}',
    }


class TooManyStreamsError(OverloadedError):
    """The caller has as many streams open as one may have, or all callers have as many as there may be."""

    code = "too-many-streams"

    def __init__(self, *, limit: int, everybody: bool = False) -> None:
        super().__init__(retry_after=5)
        told = "there may be; come back later" if everybody else "a caller may have; close one that is not needed"
        self.args = (f"{limit} streams are open, as many as {told}",)
        self.limit = limit

    @property
    def extensions(self) -> Mapping[str, Any]:
        return {"limit": self.limit}
