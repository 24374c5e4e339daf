"""``invoke``, and all that asks a server: over HTTP, answers in the same words as a run here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from .exits import CommandError, ExitCode, RemoteError
from .inputs import from_assignments, from_json
from .options import AsJson, Param, Params, Quiet, Timeout
from .printing import note, print_json, print_outputs
from .targets import is_url

if TYPE_CHECKING:
    import httpx

    from ..types import JsonObject

__all__ = ["fetch_description", "register"]

CONNECT_TIMEOUT = 10.0
GRACE = 5.0
NO_SERVER = "{url} cannot be reached: {error}"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(epilog="Example: pipemount invoke http://127.0.0.1:8000 --param city=Oslo")(invoke)


def invoke(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the app or one of its pipelines is served.")],
    params: Params = None,
    param: Param = None,
    key: Annotated[
        str | None,
        typer.Option("--key", envvar="PIPEMOUNT_KEY", show_envvar=True, help="Better given in the environment."),
    ] = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Invoke a pipeline that is served somewhere, and wait for its outputs."""
    context.obj["json"] = as_json
    body: JsonObject = {"parameters": from_json(params) | from_assignments(param or ())}
    if timeout is not None:
        body["timeout"] = timeout
    answer = ask("POST", url, "invoke", key=key, timeout=timeout, json=body)
    if as_json:
        print_json(answer)
        return
    print_outputs(answer.get("outputs") or {})
    if not quiet:
        run_id = (answer.get("metadata") or {}).get("run_id")
        note(f"run {run_id} completed in {answer.get('execution_time') or 0.0:.3f} s", "green")


def fetch_description(url: str, key: str | None) -> JsonObject:
    """What a server says of a pipeline: its ``/info``."""
    answer = ask("GET", url, "info", key=key)
    if not {"input_schema", "output_schema"} <= answer.keys():
        raise CommandError(f"{url} answers, but not as a pipeline does", exit=ExitCode.UNAVAILABLE)
    return answer


def ask(
    method: str, url: str, route: str, *, key: str | None = None, timeout: float | None = None, json: Any = None
) -> JsonObject:
    """The JSON object that a route below ``url`` answers.

    Raises:
        RemoteError: It answered with a problem.
        CommandError: It cannot be reached, or is not one of ours.
    """
    import httpx

    address = route_url(url, route)
    limits = httpx.Timeout(None if timeout is None else timeout + GRACE, connect=CONNECT_TIMEOUT)
    try:
        with httpx.Client(timeout=limits, headers=headers(key)) as client:
            response = client.request(method, address, json=json)
            return read(response, client)
    except httpx.ReadTimeout:
        raise CommandError(f"{address} did not answer in time", exit=ExitCode.TIMEOUT) from None
    except ValueError as error:
        raise CommandError(f"the parameters cannot be sent as JSON: {error}", exit=ExitCode.INPUTS) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(NO_SERVER.format(url=address, error=error), exit=ExitCode.UNAVAILABLE) from None


def route_url(url: str, route: str) -> str:
    """The address of ``route`` at a mount, or at a pipeline; ``url`` may end with the route already."""
    wrong = CommandError(f"{url!r} is not an address; write http://host:port/mount")
    if not is_url(url):
        raise wrong
    try:
        parts = urlsplit(url)
    except ValueError:
        raise wrong from None
    path = parts.path.rstrip("/").removesuffix(f"/{route}") + f"/{route}"
    return urlunsplit(parts._replace(path=path, fragment=""))


def headers(key: str | None) -> Mapping[str, str]:
    """What every request carries."""
    accept = {"accept": "application/json, application/problem+json"}
    if key is None:
        return accept
    if not (key.isascii() and key.isprintable() and key.strip()):
        raise CommandError("the key has characters that no header can carry; is PIPEMOUNT_KEY set rightly?")
    return accept | {"authorization": f"Bearer {key}"}


def read(response: httpx.Response, client: httpx.Client) -> JsonObject:
    """The object in a response. Raises ``RemoteError`` or ``CommandError``."""
    answer = _json_object(response)
    if response.is_success and answer is not None:
        return answer
    if response.is_redirect:
        moved = response.headers.get("location")
        raise CommandError(f"{response.url} has moved to {moved}; name that address", exit=ExitCode.UNAVAILABLE)
    if response.status_code == 404:
        _name_pipelines(response.url, client)
    if answer is None or (response.status_code == 404 and "code" not in answer):
        raise RemoteError(
            {"title": "Not an answer of pipemount", "detail": _excerpt(response)}, status=response.status_code
        )
    raise RemoteError(answer, status=response.status_code)


def _json_object(response: httpx.Response) -> JsonObject | None:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _excerpt(response: httpx.Response) -> str:
    kind = response.headers.get("content-type", "something without a media type")
    return f"{response.url} answered {kind}; is the app mounted there?"


def _name_pipelines(url: httpx.URL, client: httpx.Client) -> None:
    """Where an app serves several pipelines, says which; otherwise leaves the 404 to speak."""
    base = str(url.copy_with(path=os.path.dirname(url.path), query=None)).rstrip("/")  # noqa: PTH120 - a URL's path
    listing = client.get(f"{base}/pipelines")
    known = _json_object(listing) if listing.is_success else None
    names = [str(p.get("name")) for p in (known or {}).get("pipelines", ()) if isinstance(p, dict)]
    if names:
        choices = " or ".join(f"{base}/pipelines/{name}" for name in names)
        raise CommandError(f"{base} serves several pipelines; name one: {choices}")
