"""Mounts and root paths: the same routes, links that resolve, no redirect."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from ..clause import clause, expect, same
from ..pairs import Pair, Running

__all__: list[str] = []


def shown_elsewhere(pair: Pair) -> str:
    """Why a mount need not be asked for on this server."""
    return "" if pair.first else "mounts are the host's business: shown on the first server, and here at `/a/b c`"


def no_root(pair: Pair) -> str:
    """Why pipelines cannot be at ``/``."""
    return shown_elsewhere(pair) or ("" if pair.form.at_root else "at `/` the pipelines would hide the host's pages")


def no_root_path(pair: Pair) -> str:
    """Why it cannot stand behind a proxy that strips a prefix."""
    return "" if pair.server.root_path or pair.server.root_env else f"{pair.server.name} has no option for a root path"


@clause(
    "at `/`: every route answers, every link resolves, the document names the mount",
    group="paths",
    alone=True,
    unless=no_root,
)
def at_root(pair: Pair, folder: Path) -> None:
    check(pair, folder, "", rooted=False)


@clause("at `/p`: the same", group="paths", alone=True, unless=shown_elsewhere)
def at_p(pair: Pair, folder: Path) -> None:
    check(pair, folder, "/p", rooted=False)


@clause("at `/a/b c`: the same", group="paths", alone=True)
def at_a_b_c(pair: Pair, folder: Path) -> None:
    check(pair, folder, "/a/b c", rooted=False)


@clause(
    "at `/`, with a root path: the same, links below it",
    group="paths",
    alone=True,
    unless=lambda pair: no_root_path(pair) or no_root(pair),
)
def at_root_below(pair: Pair, folder: Path) -> None:
    check(pair, folder, "", rooted=True)


@clause(
    "at `/p`, with a root path: the same",
    group="paths",
    alone=True,
    unless=lambda pair: no_root_path(pair) or shown_elsewhere(pair),
)
def at_p_below(pair: Pair, folder: Path) -> None:
    check(pair, folder, "/p", rooted=True)


@clause("at `/a/b c`, with a root path: the same", group="paths", alone=True, unless=no_root_path)
def at_a_b_c_below(pair: Pair, folder: Path) -> None:
    check(pair, folder, "/a/b c", rooted=True)


def check(pair: Pair, folder: Path, mount: str, *, rooted: bool) -> None:
    """Holds the product at a mount to what it says about itself there."""
    with pair.start(folder, rooted=rooted, mount=mount) as running:
        shown = ("/proxy" if rooted else "") + quote(mount)
        shared = pair.form.shares_root and not mount
        for path in ("/greet/invoke", "/pipelines/greet/invoke", *(() if shared else ("/greet/invoke/",))):
            reply = running.server.post(running.ai + path, {"parameters": {"name": "Ada"}})
            same(f"status of {path}", reply.status, 200, running)
        same("the host's page", running.page().body, b"the host", running)
        document = running.get("/openapi.json")
        same("status of the document", document.status, 200, running)
        same("servers", document.json()["servers"], [{"url": shown or "/"}], running)
        if not shared:
            same("instance", running.get("/nothing").json().get("instance"), f"{shown}/nothing", running)
        for link in links(running):
            expect(link.startswith(f"{shown}/") or link == shown, f"{link} is not below {shown}", running)
            found = running.server.get(running.asked + link.removeprefix("/proxy") if rooted else link)
            same(f"status of {link}", found.status, expected(link), running)
        check_job(running, shown, rooted=rooted)


def check_job(running: Running, shown: str, *, rooted: bool) -> None:
    """Holds a job's links to where it is; of a server's processes one knows it."""
    accepted = running.server.post(f"{running.ai}/greet/submit", {"parameters": {"name": "Ada"}})
    same("status of a submission", accepted.status, 202, running)
    told, known = accepted.json(), (200,) if running.pair.server.workers == 1 else (200, 404)
    same("Location", accepted.headers.get("location"), told["poll_url"], running)
    for link in (told["poll_url"], told["stream_url"]):
        expect(link.startswith(f"{shown}/jobs/{told['job_id']}"), f"{link} is not below {shown}", running)
        found = running.server.get(running.asked + link.removeprefix("/proxy") if rooted else link)
        expect(found.status in known, f"{link} is answered {found.status}", running)


POSTED = ("/invoke", "/submit", "/batch", "/tokens", "/cancel", "/resume", "/retry")


def expected(link: str) -> int:
    """The status of ``GET``."""
    return 405 if link.endswith(POSTED) else 404 if NO_JOB in link else 200


NO_JOB = "01890a5d-ac96-774b-bcce-b302099a8057"


def links(running: Running) -> list[str]:
    """All that the pipelines say is somewhere; in the place of a job's id one that no job has."""
    info, index = running.get("/greet/info").json(), running.get("/").json()
    found = [*info["urls"].values(), *(route["url"] for route in index["routes"])]
    return [link.replace("{job_id}", NO_JOB) for link in found]
