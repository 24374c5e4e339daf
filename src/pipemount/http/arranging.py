"""Routes as settings want them: with paths of their own, without some of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ..errors import ConfigurationError
from .routes import PARAMETER, Route

__all__ = ["arranged", "below"]

PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+|/")


def arranged(routes: Sequence[Route], paths: Mapping[str, str], without: Collection[str]) -> tuple[Route, ...]:
    """``routes`` without those that are not wanted, the others at the paths that they are to have.

    Args:
        routes: Of an app, each at its usual path.
        paths: New paths by usual ones, with all that is below; of a pipeline's routes the part behind its name.
        without: Usual paths that are left out, with all that is below.

    Raises:
        ConfigurationError: There is no such route, a path cannot be one, or two routes would have the same.
    """
    usual = {_local(route) for route in routes}
    for setting, given in (("paths", paths), ("without", without)):
        if isinstance(given, str):
            raise ConfigurationError(f"Settings({setting}={given!r}): give a tuple of paths, e.g. ({given!r},)")
        _check_known(setting, given, usual)
    kept = [route for route in routes if not any(below(_local(route), path) for path in without)]
    moved = tuple(_moved(route, paths) for route in kept)
    _check_distinct(moved)
    return moved


def below(path: str, other: str) -> bool:
    """Whether ``path`` is ``other`` or below it; below ``/`` is nothing but itself."""
    return path == other or (other != "/" and path.startswith(other + "/"))


def _check_known(setting: str, given: Collection[str], usual: Collection[str]) -> None:
    for path in given:
        if not any(below(known, path) for known in usual):
            raise ConfigurationError(
                f"Settings({setting}=…): there is no route {path!r}; the app's are: {', '.join(sorted(usual))}"
            )


def _moved(route: Route, paths: Mapping[str, str]) -> Route:
    local = _local(route)
    found = max((path for path in paths if below(local, path)), key=len, default=None)
    if found is None:
        return route
    target = paths[found]
    if not isinstance(target, str) or not PATH.fullmatch(target):
        raise ConfigurationError(f"Settings(paths={{{found!r}: {target!r}}}): write a path that starts with '/'")
    if PARAMETER in route.path and target.count("/") > 1:
        raise ConfigurationError(f"Settings(paths={{{found!r}: {target!r}}}): one segment, as a job's id comes second")
    rest = local[len(found) :] if found != "/" else ""
    path = _root(route) + (target.rstrip("/") + rest)
    return replace(route, path=path or "/", usual=route.path)


def _check_distinct(routes: Sequence[Route]) -> None:
    taken: dict[tuple[str, str], Route] = {}
    for route, method in _each(routes):
        other = taken.setdefault((route.path, method), route)
        if other is not route:
            raise ConfigurationError(
                f"Settings(paths=…): {method} {route.path} would be two routes, "
                f"{other.usual or other.path} and {route.usual or route.path}; choose another path"
            )


def _each(routes: Sequence[Route]) -> Iterator[tuple[Route, str]]:
    for route in routes:
        for method in route.methods:
            yield route, method


def _local(route: Route) -> str:
    return route.path[len(_root(route)) :]


def _root(route: Route) -> str:
    """What comes before the part of the path that all pipelines have: ``/pipelines/weather`` or ``/weather``."""
    if route.pipeline is not None:
        for root in (f"/pipelines/{route.pipeline}", f"/{route.pipeline}"):
            if route.path.startswith(root + "/"):
                return root
    return ""
