"""Clients for commands: all that asks a server, and in which words it tells of what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError, NotFoundError, PipemountError
from .exits import CommandError, ExitCode

if TYPE_CHECKING:
    from ..client import Client
    from ..types import JsonObject

__all__ = ["client_of", "fetch_description", "full_url"]

ATTEMPTS = 3
PATIENCE = 10.0
"""Seconds that a server may ask a command to wait; somebody sits in front of it."""


@contextmanager
def client_of(
    url: str,
    key: str | None,
    paths: Iterable[str] | None = None,
    *,
    patient: bool = False,
    of_jobs: bool = False,
) -> Iterator[Client[..., Any]]:
    """A client of what is served at ``url``.

    Args:
        url: Of an app, or of one of its pipelines.
        key: To present.
        paths: Where it has its routes: ``USUAL=OWN``.
        patient: Whether to try as often as a program would, as for what follows a long run.
        of_jobs: Whether jobs are asked for, which are the whole app's.

    Raises:
        CommandError: It cannot be an address, or the key no key; or the app has several pipelines, of which it names
            none.
    """
    from ..client import Client, Retries

    retries = Retries() if patient else Retries(attempts=ATTEMPTS, patience=PATIENCE)
    try:
        client: Client[..., Any] = Client(url, key=key, retries=retries, paths=_paths(paths or ()))
    except ConfigurationError as error:
        hint = " (PIPEMOUNT_KEY, or --key)" if str(error).startswith("the key") else ""
        raise CommandError(f"{error}{hint}") from None
    with client:
        try:
            yield client
        except NotFoundError:
            if not of_jobs:
                _name_pipelines(url, client)
            if (full := full_url(url, key)) != url:
                raise CommandError(f"{url} has no jobs below it; write {full}") from None
            raise


def _paths(given: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        usual, equals, own = one.partition("=")
        if not equals:
            raise CommandError(f"--path {one}: write USUAL=OWN, as in --path /jobs=/tasks")
        found[usual] = own
    return found


def _name_pipelines(url: str, client: Client[..., Any]) -> None:
    """Where an app serves several pipelines, says which; otherwise leaves the 404 to speak."""
    base = _base(url)
    try:
        names = [str(each.get("name")) for each in client.pipelines()]
    except PipemountError:
        return
    if len(names) > 1 and "/pipelines/" not in base:
        choices = " or ".join(f"{base}/pipelines/{name}" for name in names)
        raise CommandError(f"{base} serves several pipelines; name one: {choices}")


def _base(url: str) -> str:
    return url.partition("?")[0].rstrip("/").removesuffix("/invoke").removesuffix("/submit")


def full_url(url: str, key: str | None) -> str:
    """``…/pipelines/weather``, which tells where the app's jobs are, if ``url`` is ``…/weather``; else ``url``."""
    from ..client import Client, Retries

    app, _, name = _base(url).rpartition("/")
    if not urlsplit(app).netloc or app.endswith("/pipelines"):
        return url
    with Client(app, key=key, retries=Retries(attempts=1)) as client, suppress(PipemountError):
        if any(each.get("name") == unquote(name) for each in client.pipelines()):
            return f"{app}/pipelines/{name}"
    return url


def fetch_description(url: str, key: str | None) -> JsonObject:
    """What a server says of a pipeline: its ``/info``."""
    with client_of(url, key) as client:
        answer = client.info()
    if not {"input_schema", "output_schema"} <= answer.keys():
        raise CommandError(f"{url} answers, but not as a pipeline does", exit=ExitCode.UNAVAILABLE)
    return answer
