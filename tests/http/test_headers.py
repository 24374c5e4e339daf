import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemount.errors import MalformedRequestError
from pipemount.http.headers import (
    DUPLICATED,
    accepts_html,
    accepts_json,
    clean_request_id,
    is_json,
    parse_content_length,
    parse_traceparent,
    prefers_html,
    presents_key,
    read_headers,
    wants_event_stream,
)
from pipemount.types import Trace

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"
CHROMIUM = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

# ---------------------------------------------------------------------------------------- reading


def test_all_that_is_read() -> None:
    headers = [
        (b"host", b"localhost"),
        (b"authorization", b"Bearer a"),
        (b"x-api-key", b"b"),
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
        (b"accept", b"*/*"),
        (b"x-request-id", b"r"),
        (b"traceparent", b"t"),
        (b"tracestate", b"s"),
        (b"x-forwarded-for", b"::1"),
    ]
    assert read_headers(headers) == dict(headers)
    assert presents_key(read_headers(headers))


def test_none_at_all() -> None:
    assert read_headers([]) == {}


@pytest.mark.parametrize("name", [b"Authorization", b"AUTHORIZATION", b"aUTHORIZATIOn"])
def test_names_of_any_case(name: bytes) -> None:
    assert read_headers([(name, b"Basic YTpi"), (b"X-Other", b"1")])[b"authorization"] == b"Basic YTpi"


@pytest.mark.parametrize(
    ("headers", "duplicated"),
    [
        ([(b"authorization", b"a"), (b"authorization", b"b")], True),
        ([(b"authorization", b""), (b"Authorization", b"b")], True),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"a")], True),
        ([(b"x-api-key", b"a"), (b"x-api-key", b"a"), (b"accept", b"a"), (b"accept", b"a")], True),
        ([(b"authorization", b"a"), (b"x-api-key", b"b")], False),
        ([(b"accept", b"a"), (b"accept", b"b")], False),
        ([(b"cookie", b"a"), (b"cookie", b"b")], False),
        ([(b"", b"a"), (DUPLICATED, b"a")], False),
    ],
)
def test_credentials_that_came_more_than_once(headers: list[tuple[bytes, bytes]], duplicated: bool) -> None:
    assert (DUPLICATED in read_headers(headers)) is duplicated


def test_values_of_one_name_are_joined() -> None:
    headers = [(b"accept", b"text/html"), (b"tracestate", b"a=1"), (b"accept", b"text/plain"), (b"tracestate", b"b=2")]
    assert read_headers(headers)[b"accept"] == b"text/html, text/plain"
    assert read_headers(headers)[b"tracestate"] == b"a=1, b=2"
    twice = read_headers([(b"traceparent", f"00-{TRACE_ID}-{PARENT_ID}-01".encode())] * 2)
    assert parse_traceparent(twice[b"traceparent"], None) is None


@pytest.mark.parametrize(("value", "length"), [(None, None), (b"0", 0), (b"0042", 42), (b"9" * 18, 10**18 - 1)])
def test_content_length(value: bytes | None, length: int | None) -> None:
    assert parse_content_length(value) == length


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b" 1", b"1_0", b"1, 1", b"1.0", b"\xb2", b"9" * 19, b"9" * 5000])
def test_content_length_that_is_no_number(value: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        parse_content_length(value)


# ---------------------------------------------------------------------------------------- tracing


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (f"00-{TRACE_ID}-{PARENT_ID}-01", 1),
        (f"00-{TRACE_ID}-{PARENT_ID}-03", 3),
        (f"00-{TRACE_ID}-{PARENT_ID}-ff", 255),
        (f"01-{TRACE_ID}-{PARENT_ID}-00", 0),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01-what the future brings", 1),
        (f"cc-{TRACE_ID}-{PARENT_ID}-01-", 1),
    ],
)
def test_traceparent(header: str, flags: int) -> None:
    assert parse_traceparent(header.encode(), None) == Trace(TRACE_ID, PARENT_ID, flags)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-01-more",
        f"00-{TRACE_ID}-{PARENT_ID}-01-",
        f"cc-{TRACE_ID}-{PARENT_ID}-01.more",
        f"cc-{TRACE_ID}-{PARENT_ID}-011",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID.upper()}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-0A",
        f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-1",
        f"0-{TRACE_ID}-{PARENT_ID}-01",
        f" 00-{TRACE_ID}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-01\n",
        f"00-{TRACE_ID[:-1]}g-{PARENT_ID}-01",
    ],
)
def test_traceparent_that_is_invalid(header: str) -> None:
    assert parse_traceparent(header.encode(), b"a=1") is None


def test_no_traceparent() -> None:
    assert parse_traceparent(None, b"a=1") is None


@pytest.mark.parametrize(
    ("header", "state"),
    [
        (b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        (b"", ""),
        (None, ""),
        (b"a=\xc3\xa9", ""),
        (b"a=1\r\nb=2", ""),
        (b"a=" + b"1" * 510, "a=" + "1" * 510),
        (b"a=" + b"1" * 511, ""),
    ],
)
def test_tracestate(header: bytes | None, state: str) -> None:
    trace = parse_traceparent(f"00-{TRACE_ID}-{PARENT_ID}-01".encode(), header)
    assert trace == Trace(TRACE_ID, PARENT_ID, 1, state)


@given(st.binary(), st.binary())
def test_tracing_headers_never_raise(traceparent: bytes, tracestate: bytes) -> None:
    assert parse_traceparent(traceparent, tracestate) is None


@pytest.mark.parametrize("value", [b"a", b"7f3c-1", b"with a space", b"~" * 128])
def test_request_ids_that_are_echoed(value: bytes) -> None:
    assert clean_request_id(value) == value


@pytest.mark.parametrize(
    "value", [None, b"", b"~" * 129, b"a\r\nset-cookie: b", b"a\n", b"\x1b[31m", b"\xc3\xa9", b"\x7f"]
)
def test_request_ids_that_are_not(value: bytes | None) -> None:
    assert clean_request_id(value) is None


# ------------------------------------------------------------------------------------ media types


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json;charset=utf-8",
        b'application/json ; Charset="UTF-8"',
        b"application/json; charset=utf8; version=1",
        b"application/json;",
        b"application/vnd.example.v1+json",
        b"model/gltf+json; profile=x",
    ],
)
def test_json(content_type: bytes) -> None:
    assert is_json(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"",
        b"text/plain",
        b"text/json",
        b"application/jsonlines",
        b"application/json, application/json",
        b"application/x-www-form-urlencoded; charset=latin-1",
        b"multipart/form-data; boundary=application/json",
        b"+json",
        b"/json",
        b"/a+json",
        b"json",
        b"\xff",
    ],
)
def test_not_json(content_type: bytes | None) -> None:
    assert not is_json(content_type)


@pytest.mark.parametrize("charset", [b"latin-1", b"utf-16", b'"us-ascii"', b""])
def test_json_in_another_encoding(charset: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="UTF-8"):
        is_json(b"application/json; charset=" + charset)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, True),
        (b"", True),
        (b"*/*", True),
        (b"application/json", True),
        (b"application/*", True),
        (b"APPLICATION/JSON ; Q=0.1", True),
        (b"application/problem+json", True),
        (b"text/html, */*;q=0.1", True),
        (CHROMIUM, True),
        (b"nonsense", True),
        (b"application/json;q=often", True),
        (b"text/html", False),
        (b"text/event-stream", False),
        (b"text/*, image/png", False),
        (b"application/json;q=0, application/problem+json;q=0.000, */*", False),
        (b"*/*;q=0", False),
        (b"application/json;q=0", False),
    ],
)
def test_accepts_json(accept: bytes | None, expected: bool) -> None:
    assert accepts_json(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, True),
        (b"", True),
        (b"*/*", True),
        (CHROMIUM, True),
        (b"text/*;q=0.1", True),
        (b"application/json", False),
        (b"text/html;q=0, */*", False),
    ],
)
def test_accepts_html(accept: bytes | None, expected: bool) -> None:
    assert accepts_html(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        (b"*/*", False),
        (b"application/json", False),
        (b"text/*", False),
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b"text/event-stream, */*", True),
        (b"text/event-stream, */*;q=0.1", True),
        (b"text/event-stream, application/json;q=0.9", True),
        (b"application/json, text/event-stream", False),
        (b"text/event-stream;q=0.5, */*", False),
        (b"text/event-stream;q=0", False),
        (b"text/event-stream;q=0, text/*", False),
    ],
)
def test_wants_event_stream(accept: bytes | None, expected: bool) -> None:
    assert wants_event_stream(accept) is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        (b"", False),
        (b"*/*", False),
        (b"application/json", False),
        (CHROMIUM, True),
        (b"text/html", True),
        (b"text/html, */*", True),
        (b"text/*, */*", True),
        (b"text/html, application/json", False),
        (b"application/json, text/html;q=0.9", False),
        (b"application/json;q=0.9, text/html", True),
        (b"text/html;q=0, */*;q=0", False),
        (b"application/json, text/plain, */*", False),
    ],
)
def test_prefers_html(accept: bytes | None, expected: bool) -> None:
    assert prefers_html(accept) is expected


@given(
    st.binary() | st.lists(st.sampled_from([b"text/html", b"*/*", b",", b";", b"q=", b"0.5", b'"', b"/"])).map(b"".join)
)
def test_accept_never_raises(accept: bytes) -> None:
    assert {type(test(accept)) for test in (accepts_html, accepts_json, wants_event_stream, prefers_html)} == {bool}
