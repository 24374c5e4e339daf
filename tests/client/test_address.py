"""Where routes are."""

from __future__ import annotations

import pytest

from pipemount.client.address import Address
from pipemount.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "name", "invoke", "job"),
    [
        ("http://a", None, "http://a/invoke", "http://a/jobs/j"),
        ("http://a/", None, "http://a/invoke", "http://a/jobs/j"),
        ("http://a/ai/", None, "http://a/ai/invoke", "http://a/ai/jobs/j"),
        ("http://a/ai/invoke", None, "http://a/ai/invoke", "http://a/ai/jobs/j"),
        ("http://a/ai/submit/", None, "http://a/ai/invoke", "http://a/ai/jobs/j"),
        ("http://a/ai?x=1#top", None, "http://a/ai/invoke?x=1", "http://a/ai/jobs/j?x=1"),
        ("http://a/ai", "w", "http://a/ai/pipelines/w/invoke", "http://a/ai/jobs/j"),
        ("http://a/ai/pipelines/w", None, "http://a/ai/pipelines/w/invoke", "http://a/ai/jobs/j"),
        ("http://a/ai/pipelines/w/invoke", "x", "http://a/ai/pipelines/w/invoke", "http://a/ai/jobs/j"),
        ("https://[::1]:8/jobs", None, "https://[::1]:8/jobs/invoke", "https://[::1]:8/jobs/jobs/j"),
    ],
)
def test_routes(url: str, name: str | None, invoke: str, job: str) -> None:
    address = Address.of(url, name)
    assert (address.of_pipeline("invoke"), address.of_job("j")) == (invoke, job)


def test_paths_below_the_base_url_of_an_http_client() -> None:
    assert Address.of("", relative=True).of_app("jobs", "limit=5") == "/jobs?limit=5"
    assert Address.of("/ai/", relative=True).of_job("a/b", "/events") == "/ai/jobs/a%2Fb/events"
    assert Address.of("http://a?k=1").of_app("jobs", "limit=5") == "http://a/jobs?k=1&limit=5"


def test_a_token_speaks_for_whoever_asks_for_its_job_and_nowhere_else() -> None:
    address = Address.of("http://a/ai?k=1", token="a b.c")
    assert address.of_job("j", "/events") == "http://a/ai/jobs/j/events?k=1&token=a+b.c"
    assert address.of_app("jobs") == "http://a/ai/jobs?k=1"
    assert address.of_pipeline("invoke") == "http://a/ai/invoke?k=1"


def test_an_app_with_paths_of_its_own() -> None:
    address = Address.of("http://a/ai", "w", paths={"/invoke": "/predict", "/jobs": "/tasks/", "/status": "/"})
    assert address.of_pipeline("invoke") == "http://a/ai/pipelines/w/predict"
    assert address.of_pipeline("submit") == "http://a/ai/pipelines/w/submit"
    assert address.of_job("j", "/cancel") == "http://a/ai/tasks/j/cancel"
    assert address.of_app("jobs", "limit=5") == "http://a/ai/tasks?limit=5"
    assert address.of_app("status") == "http://a/ai"


@pytest.mark.parametrize("paths", [{"invoke": "/predict"}, {"/invoke": "predict"}])
def test_what_is_no_path(paths: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="each is a path that starts with '/'"):
        Address.of("http://a", paths=paths)


@pytest.mark.parametrize("url", ["shop:weather", "http://[::", "ftp://a", "", "/ai", "http:///ai"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an address; write http://host:port/mount"):
        Address.of(url)
