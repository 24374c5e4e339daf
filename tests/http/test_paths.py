from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemount.http.paths import child_scope, locate

# ------------------------------------------------------------------------- what servers and hosts send


@dataclass(frozen=True)
class Case:
    """One request as a server and a host hand it on.

    Attributes:
        proxy: The ``root_path`` that the server was started with.
        included: Whether the server puts it in front of ``path`` (uvicorn does, hypercorn does not).
        mount: Where the app is mounted in its host.
        rest: What was asked of the app.
    """

    proxy: str
    included: bool
    mount: str
    rest: str

    @property
    def received(self) -> str:
        return (self.proxy if self.included else "") + self.mount + self.rest

    def raw(self) -> bytes:
        return quote(self.received).encode()

    def scope(self, **changes: Any) -> dict[str, Any]:
        """As Starlette's Mount passes it on: the path stays, the root path grows."""
        return {
            "type": "http",
            "root_path": self.proxy + self.mount,
            "path": self.received,
            "raw_path": self.raw(),
        } | changes

    @property
    def expected(self) -> tuple[str, str]:
        return self.proxy + self.mount, self.rest.rstrip("/") or "/"


MOUNTS = ["", "/p", "/a/b c", "/ü/%"]
PROXIES = [("", False), ("/proxy", True), ("/proxy", False), ("/deep/proxy x", True), ("/deep/proxy x", False)]
RESTS = ["", "/", "/invoke", "/invoke/", "/pipelines/weather/info", "/a%2Fb", "/straße", "/x;y"]

matrix = pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(proxy, included, mount, rest), id=f"{proxy}{'+' if included else '|'}{mount}|{rest}")
        for proxy, included in PROXIES
        for mount in MOUNTS
        for rest in RESTS
    ],
)


@matrix
def test_mounted_in_starlette(case: Case) -> None:
    assert locate(case.scope()) == case.expected


@matrix
def test_without_a_raw_path(case: Case) -> None:
    scope = case.scope()
    del scope["raw_path"]
    assert locate(scope) == case.expected
    assert locate(scope | {"raw_path": None}) == case.expected


@matrix
def test_mounted_in_litestar(case: Case) -> None:
    """It strips its mount from the path, adds a slash, and leaves the root path as the server gave it."""
    prefix = case.proxy if case.included and not case.mount else ""
    path = prefix + case.rest.rstrip("/") + "/"
    assert locate(case.scope(root_path=case.proxy, path=path)) == case.expected


@matrix
def test_mounted_in_channels(case: Case) -> None:
    """Its router keeps path and root path, and passes on what it did not match."""
    scope = case.scope(root_path=case.proxy, path_remaining=case.rest.lstrip("/"))
    assert locate(scope) == case.expected
    del scope["raw_path"]
    assert locate(scope) == case.expected


@matrix
def test_a_child_scope_is_located_at_the_same_place(case: Case) -> None:
    base, rest = locate(case.scope())
    child = child_scope(case.scope(), base, rest)
    assert (child["root_path"], child["path"]) == (base, base + rest)
    assert locate(child) == (base, rest)


segments = st.text(st.characters(exclude_characters="/", codec="utf-8"), min_size=1, max_size=6)
paths = st.lists(segments, max_size=3).map(lambda parts: "".join("/" + part for part in parts))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any request whose segments are all different, so that there is one right answer."""
    parts = draw(st.lists(segments, unique=True, max_size=9))
    one, two = sorted((draw(st.integers(0, len(parts))), draw(st.integers(0, len(parts)))))
    proxy, mount, rest = ("".join("/" + part for part in piece) for piece in (parts[:one], parts[one:two], parts[two:]))
    return Case(proxy, draw(st.booleans()), mount, rest + draw(st.sampled_from(["", "/"])))


@given(cases())
def test_any_mount_under_any_proxy(case: Case) -> None:
    assert locate(case.scope()) == case.expected
    assert locate(case.scope(raw_path=None)) == case.expected


@given(paths, paths, st.none() | st.binary() | paths.map(lambda path: quote(path).encode()), st.none() | paths)
def test_whatever_comes(root_path: str, path: str, raw_path: bytes | None, remaining: str | None) -> None:
    scope = {"root_path": root_path, "path": path, "raw_path": raw_path}
    base, rest = locate(scope if remaining is None else scope | {"path_remaining": remaining})
    assert rest.startswith("/")
    assert rest == "/" or not rest.endswith("/")
    assert base == "" or (base.startswith("/") and not base.startswith("//") and not base.endswith("/"))
    assert base.endswith(root_path) or root_path in base or raw_path


@given(st.text(), st.text(), st.binary(), st.none() | st.text())
def test_nonsense_never_raises(root_path: str, path: str, raw_path: bytes, remaining: str | None) -> None:
    scope = {"root_path": root_path, "path": path, "raw_path": raw_path}
    base, _ = locate(scope if remaining is None else scope | {"path_remaining": remaining})
    assert not base.startswith("//")


# ----------------------------------------------------------------------------------------- single points


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"path": "/invoke"}, ("", "/invoke")),
        ({"path": "/invoke", "root_path": None, "raw_path": None}, ("", "/invoke")),
        ({"path": ""}, ("", "/")),
        ({"path": "", "root_path": "/ai"}, ("/ai", "/")),
        ({"path": "/ai", "root_path": "/ai"}, ("/ai", "/")),
        ({"path": "/ai/invoke", "root_path": "/ai/"}, ("/ai", "/invoke")),
        ({"path": "/ai/invoke", "root_path": "ai"}, ("/ai", "/invoke")),
        ({"path": "/invoke", "root_path": "/"}, ("", "/invoke")),
        # not on a segment boundary
        ({"path": "/airport", "root_path": "/ai"}, ("/ai", "/airport")),
        ({"path": "/airport/ai", "root_path": "/x/ai"}, ("/x/ai", "/airport/ai")),
        # the longest suffix of the root path wins
        ({"path": "/a/a/invoke", "root_path": "/a/a"}, ("/a/a", "/invoke")),
        ({"path": "/a/invoke", "root_path": "/a/a"}, ("/a/a", "/invoke")),
        # nested mounts, each of which added to the root path
        ({"path": "/x/y/z/invoke", "root_path": "/x/y/z", "raw_path": b"/x/y/z/invoke"}, ("/x/y/z", "/invoke")),
        ({"path": "/y/z/invoke", "root_path": "/x/y/z", "raw_path": b"/y/z/invoke"}, ("/x/y/z", "/invoke")),
        # a raw path with its query
        ({"path": "/invoke/", "raw_path": b"/ai/invoke?mode=/invoke"}, ("/ai", "/invoke")),
        # a raw path of something else: a host rewrote the path
        ({"path": "/ai/invoke", "root_path": "/ai", "raw_path": b"/v2/much/longer"}, ("/ai", "/invoke")),
        ({"path": "/ai/invoke", "root_path": "/ai", "raw_path": b"/much/longer/invoke"}, ("/ai", "/invoke")),
        # a raw path that is a URL, or that would make links lead to another host
        ({"path": "/invoke", "raw_path": b"http://evil.example/ai/invoke"}, ("", "/invoke")),
        ({"path": "/invoke", "raw_path": b"//evil.example/invoke"}, ("/evil.example", "/invoke")),
        ({"path": "//evil.example/invoke", "root_path": "//evil.example"}, ("/evil.example", "/invoke")),
        # not a path of ours
        ({"path": "*", "raw_path": b"*"}, ("", "*")),
        ({"path": "invoke", "raw_path": b"/invoke"}, ("", "invoke")),
        ({"path": "//invoke"}, ("", "//invoke")),
        # what Channels left is not the end of the path
        ({"path": "/ai/invoke", "root_path": "/ai", "path_remaining": "other"}, ("/ai", "/other")),
        # escapes that are not UTF-8
        ({"path": "/\ufffd/", "raw_path": b"/ai/%ff"}, ("/ai", "/\ufffd")),
    ],
)
def test_one_scope(scope: dict[str, Any], expected: tuple[str, str]) -> None:
    assert locate(scope) == expected


def test_a_child_scope_leaves_out_what_the_host_keeps_for_itself() -> None:
    host = {
        "app": 1,
        "app_root_path": 1,
        "endpoint": 1,
        "path_params": 1,
        "path_remaining": "invoke",
        "route": 1,
        "router": 1,
        "url_route": 1,
        "fastapi_inner_astack": 1,
        "litestar_app": 1,
    }
    ours = {"type": "http", "headers": [], "state": {}, "extensions": {}, "user": "ada"}
    scope = host | ours | {"root_path": "", "path": "/ai/invoke/"}
    before = dict(scope)
    assert child_scope(scope, "/ai", "/invoke") == ours | {"root_path": "/ai", "path": "/ai/invoke"}
    assert scope == before
