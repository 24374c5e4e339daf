"""The request headers that matter here, read in one pass, and what their values mean.

Values in, values out: nothing here does I/O, and nothing here raises for a header that may be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from ..errors import BodyTooLargeError, MalformedRequestError, UnsupportedMediaTypeError
from ..types import Trace

__all__ = [
    "DUPLICATED",
    "IDEMPOTENCY_KEY",
    "LONGEST_KEY",
    "RequestHeaders",
    "accepts_event_stream",
    "accepts_html",
    "accepts_json",
    "check_body",
    "clean_request_id",
    "is_json",
    "parse_content_length",
    "parse_idempotency_key",
    "parse_traceparent",
    "preferred",
    "prefers_html",
    "presents_key",
    "read_headers",
    "wants_event_stream",
]


RequestHeaders: TypeAlias = Mapping[bytes, bytes]
"""A request's headers by their names in lower case.

One that came more than once has its values joined by commas (RFC 9110, section 5.3), which makes those that are no
lists invalid; ``DUPLICATED`` is among the names if a credential came more than once.
"""

DUPLICATED = b"Duplicated"
"""In capitals, which no name has here: nobody can send it."""

NEVER_TWICE = frozenset({b"authorization", b"x-api-key"})

LOWER = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"authorization", b"connection", b"content-length", b"host"}
    | {b"content-type", b"cookie", b"idempotency-key", b"origin", b"referer", b"traceparent", b"tracestate"}
    | {b"user-agent", b"x-api-key", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-request-id"}
)
"""What most requests have: names of which nobody need look whether they are in lower case."""


def presents_key(headers: RequestHeaders) -> bool:
    """Whether the caller shows a key, or something in its place."""
    return not NEVER_TWICE.isdisjoint(headers)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """The headers of an ASGI scope; names may be of any case."""
    lines = headers if isinstance(headers, list) else list(headers)
    found = dict(lines)
    if len(found) == len(lines) and (found.keys() <= LOWER or b"".join(found).islower()):
        return found
    return _read_one_by_one(lines)


def _read_one_by_one(lines: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """Some came more than once, or in capitals."""
    found: dict[bytes, bytes] = {}
    for name, value in lines:
        lower = name.lower()
        if lower not in found:
            found[lower] = value
        else:
            found[lower] += b", " + value
            if lower in NEVER_TWICE:
                found[DUPLICATED] = b"1"
    return found


def parse_content_length(value: bytes | None) -> int | None:
    """The declared length of the body. Raises ``MalformedRequestError`` for what is no number."""
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise MalformedRequestError("the Content-Length header is not a number of bytes")
    return int(value)


def check_body(headers: RequestHeaders, limit: int) -> int | None:
    """The declared length of a body, if the headers tell of JSON, as it is, and of no more than ``limit`` bytes.

    Raises:
        UnsupportedMediaTypeError: It is no JSON, or in a content coding: a few bytes may unpack to any number.
        BodyTooLargeError, MalformedRequestError: It is too long, or cannot be.
    """
    kind, coding, length = (
        headers.get(b"content-type"),
        headers.get(b"content-encoding"),
        headers.get(b"content-length"),
    )
    if kind != b"application/json" and not is_json(kind):
        raise UnsupportedMediaTypeError("send a JSON object and say so: Content-Type: application/json")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        raise _packed()
    if length is None:
        return None
    declared = parse_content_length(length)
    if declared is not None and declared > limit:
        raise BodyTooLargeError(limit=limit)
    return declared


def _packed() -> UnsupportedMediaTypeError:
    error = UnsupportedMediaTypeError("bodies are read as they are: send it without a Content-Encoding")
    error.headers = {"accept-encoding": "identity"}  # RFC 9110, section 15.5.16
    return error


# --------------------------------------------------------------------------------------- tracing

TRACEPARENT = re.compile(
    rb"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?P<more>-.*)?"
)
TRACESTATE = re.compile(rb"[ -~]{1,512}")
REQUEST_ID = re.compile(rb"[ -~]{1,128}")


def parse_traceparent(traceparent: bytes | None, tracestate: bytes | None = None) -> Trace | None:
    """The caller's trace (W3C Trace Context, levels 1 and 2), or ``None`` if there is none or it is invalid.

    Of versions above 00 the first four fields are read. A ``tracestate`` that is not printable ASCII or above
    512 bytes is dropped; the trace goes on.
    """
    if traceparent is None:
        return None
    match = TRACEPARENT.fullmatch(traceparent)
    if match is None or (match["version"] == b"00" and match["more"] is not None):
        return None
    state = tracestate.decode("ascii") if tracestate and TRACESTATE.fullmatch(tracestate) else ""
    return Trace(match[2].decode("ascii"), match[3].decode("ascii"), int(match[4], 16), state)


# An Item of Structured Fields that is a String (RFC 9651, section 3.3.3), or what many send in its place: a bare token.
IDEMPOTENCY_KEY = r'^("([ !#-\[\]-~]|\\["\\])+"|[!#-+\--:<-~]+)$'
LONGEST_KEY = 255
_KEY = re.compile(IDEMPOTENCY_KEY[:-1].encode() + rb"\Z")


def parse_idempotency_key(value: bytes) -> str:
    """The key in an ``Idempotency-Key`` header (draft-ietf-httpapi-idempotency-key-header), quoted or bare.

    Raises:
        MalformedRequestError: It is neither, empty, or longer than ``LONGEST_KEY``.
    """
    if len(value) > LONGEST_KEY or not _KEY.match(value):
        raise MalformedRequestError(
            'the Idempotency-Key header is not one quoted string of at most 255 characters, e.g. "5f0c0c1e-8f0a"'
        )
    key = re.sub(rb'\\(["\\])', rb"\1", value[1:-1]) if value.startswith(b'"') else value
    return key.decode("ascii")


def clean_request_id(value: bytes | None) -> bytes | None:
    """``value`` if it can be echoed and logged: printable ASCII, at most 128 bytes."""
    return value if value and REQUEST_ID.fullmatch(value) else None


# ------------------------------------------------------------------------------------ media types


def is_json(content_type: bytes | None) -> bool:
    """Whether a body is declared as JSON: ``application/json``, or any subtype that ends in ``+json``.

    Raises:
        MalformedRequestError: It is, but in another encoding than UTF-8, the only one that JSON has (RFC 8259).
    """
    if content_type == b"application/json":
        return True
    if not content_type:
        return False
    media_type, *parameters = content_type.lower().split(b";")
    main, _, subtype = media_type.strip().partition(b"/")
    if not (main and subtype.endswith(b"+json")) and (main, subtype) != (b"application", b"json"):
        return False
    _check_charset(parameters)
    return True


def _check_charset(parameters: list[bytes]) -> None:
    for parameter in parameters:
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value.strip(b'"') not in (b"utf-8", b"utf8"):
            raise MalformedRequestError("JSON is encoded in UTF-8; send it so, and without another charset")


# A media range as (main type, subtype), each possibly "*", with its weight.
MediaRange = tuple[bytes, bytes, float]
QVALUE = re.compile(rb"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def accepts_json(accept: bytes | None) -> bool:
    """Whether the caller takes JSON; without an ``Accept`` header every caller does (RFC 9110, section 12.5.1)."""
    if accept is None or accept == b"*/*" or accept == b"application/json":
        return True
    ranges = _media_ranges(accept)
    return not ranges or any(_weight(ranges, b"application", subtype)[0] > 0 for subtype in (b"json", b"problem+json"))


def accepts_html(accept: bytes | None) -> bool:
    """Whether the caller takes HTML at all; without an ``Accept`` header every caller does."""
    if accept is None or accept == b"*/*":
        return True
    ranges = _media_ranges(accept)
    return not ranges or _weight(ranges, b"text", b"html")[0] > 0


def accepts_event_stream(accept: bytes | None) -> bool:
    """Whether the caller takes an event stream at all; without an ``Accept`` header every caller does."""
    if accept is None or accept == b"text/event-stream" or accept == b"*/*":
        return True
    ranges = _media_ranges(accept)
    return not ranges or _weight(ranges, b"text", b"event-stream")[0] > 0


def wants_event_stream(accept: bytes | None) -> bool:
    """Whether the caller asks for ``text/event-stream`` by name and does not prefer JSON, or name it as well."""
    if accept is None or accept == b"*/*" or accept == b"application/json":
        return False
    ranges = _media_ranges(accept)
    stream, rank = _weight(ranges, b"text", b"event-stream")
    if rank < EXACT or stream == 0:
        return False
    json, json_rank = _weight(ranges, b"application", b"json")
    return stream > json or (stream == json and json_rank < EXACT)


def preferred(accept: bytes | None, offered: Sequence[bytes]) -> bytes | None:
    """Which of the ``offered`` media types the caller takes most gladly; the first of equals, ``None`` for none."""
    ranges = _media_ranges(accept) if accept else []
    if not ranges:
        return offered[0]
    weights = [_weight(ranges, *media_type.split(b"/"))[0] for media_type in offered]
    best = max(weights)
    return offered[weights.index(best)] if best > 0 else None


def prefers_html(accept: bytes | None) -> bool:
    """Whether the caller is a browser: it takes HTML, and rather than JSON."""
    if accept is None or accept == b"*/*" or accept == b"application/json":
        return False
    ranges = _media_ranges(accept)
    html, html_rank = _weight(ranges, b"text", b"html")
    json, json_rank = _weight(ranges, b"application", b"json")
    return html > json or (html == json > 0 and html_rank > json_rank)


def _media_ranges(accept: bytes) -> list[MediaRange]:
    ranges = (_media_range(part) for part in accept.lower().split(b","))
    return [found for found in ranges if found is not None]


def _media_range(part: bytes) -> MediaRange | None:
    media_type, *parameters = part.split(b";")
    main, slash, subtype = media_type.strip().partition(b"/")
    if not (main and slash and subtype):
        return None
    return main, subtype, next((q for q in map(_quality, parameters) if q is not None), 1.0)


def _quality(parameter: bytes) -> float | None:
    name, _, value = parameter.strip().partition(b"=")
    return float(value) if name == b"q" and QVALUE.fullmatch(value) else None


EXACT = 2


def _weight(ranges: list[MediaRange], main: bytes, subtype: bytes) -> tuple[float, int]:
    """The weight of a media type by the most specific range that names it, and how specific that is."""
    found = (0.0, -1)
    for range_main, range_subtype, quality in ranges:
        if (range_main, range_subtype) == (main, subtype):
            found = max(found, (quality, EXACT), key=_by_rank)
        elif (range_main, range_subtype) == (main, b"*"):
            found = max(found, (quality, 1), key=_by_rank)
        elif (range_main, range_subtype) == (b"*", b"*"):
            found = max(found, (quality, 0), key=_by_rank)
    return found


def _by_rank(weight: tuple[float, int]) -> tuple[int, float]:
    return weight[1], weight[0]
