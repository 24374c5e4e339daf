"""System checks: what keeps a mount from working as it was meant, told by ``manage.py check``.

Each warning has an id, ``pipemount.W001`` and on, by which ``SILENCED_SYSTEM_CHECKS`` can silence it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db import connections
from django.urls import Resolver404, get_resolver
from django.utils.module_loading import import_string

from ..http.application import Application
from ..http.middleware import LifespanMiddleware
from .mounts import Mount, find_mounts
from .transactions import atomic_aliases, sync_steps

__all__ = ["TAG", "check_mounts", "check_settings"]

TAG = "pipemount"
LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def check_mounts(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """Whether mounts are where requests get to, and not open by mistake."""
    mounts = find_mounts()
    found: list[CheckMessage] = []
    for mount in mounts:
        found += [*_misplaced(mount), *_hiding(mount), *_open(mount), *_behind_login(mount)]
    return [*found, *_unwrapped(mounts)]


def check_settings(app_configs: Sequence[Any] | None, **options: Any) -> list[CheckMessage]:
    """Whether the project's settings and the way its pipelines run fit together."""
    apps = _apps(find_mounts())
    found = [*_uwsgi()] if apps else []
    for app in apps:
        found += [*_atomic(app), *_in_memory(app), *_persistent(app), *_uploads(app)]
    return found


# ------------------------------------------------------------------------------------------- mounts


def _misplaced(mount: Mount) -> Iterator[CheckMessage]:
    if mount.path and not mount.path.endswith("/"):
        yield Warning(
            f"Pipelines are mounted at {mount.path!r}, without a slash at its end.",
            hint=f"Write path({mount.path + '/'!r}, include(...)): Django puts {mount.path + 'invoke'!r} together.",
            obj=mount.view,
            id="pipemount.W002",
        )
    elif "<" not in mount.path and "(" not in mount.path:
        yield from _shadowed(mount)


def _shadowed(mount: Mount) -> Iterator[CheckMessage]:
    for route in mount.view.pipelines.route_table:
        path = "/" + mount.path.lstrip("^") + route.path.lstrip("/")
        try:
            taken = get_resolver().resolve(path).func
        except Resolver404:
            continue
        if taken is not mount.view and getattr(taken, "__wrapped__", None) is not mount.view:
            name = getattr(taken, "__qualname__", type(taken).__name__)
            yield Warning(
                f"Requests for {path} do not get to the pipelines: {name} answers them.",
                hint="Put the pipelines' include() before the pattern that matches the same path.",
                obj=mount.view,
                id="pipemount.W001",
            )
            return


def _hiding(mount: Mount) -> Iterator[CheckMessage]:
    """A mount answers everything below its path; at the root that is all of the patterns behind it."""
    if mount.path or not (hidden := _behind(mount)):
        return
    yield Warning(
        f"Requests for /{hidden[0]} get to the pipelines, which are mounted at the root in front of it.",
        hint="Put the pipelines' include() behind all other patterns, or mount them at a path of their own.",
        obj=mount.view,
        id="pipemount.W011",
    )


def _behind(mount: Mount) -> list[str]:
    """The patterns behind ``mount`` in the URLconf; other mounts tell themselves that they are not got to."""
    patterns, mounts = get_resolver().url_patterns, {each.path for each in find_mounts()}
    for place, one in enumerate(patterns):
        if any(getattr(inner, "callback", None) is mount.view for inner in getattr(one, "url_patterns", ())):
            return [str(each.pattern) for each in patterns[place + 1 :] if str(each.pattern) not in mounts]
    return []


def _open(mount: Mount) -> Iterator[CheckMessage]:
    view = mount.view
    if view.pipelines.auth is None and not view.before and not view.users.guarded and LOGIN not in settings.MIDDLEWARE:
        yield Warning(
            f"Whoever reaches /{mount.path} may run the pipelines: nothing asks who it is.",
            hint="Give PipelineApp(auth=AuthKeys(...)), or django_urls() one of before=, permissions= and principal=.",
            obj=view,
            id="pipemount.W003",
        )


def _behind_login(mount: Mount) -> Iterator[CheckMessage]:
    view = mount.view
    if view.pipelines.auth is not None and LOGIN in settings.MIDDLEWARE and getattr(view, "login_required", True):
        yield Warning(
            f"LoginRequiredMiddleware sends callers of /{mount.path} who present a key to the login page.",
            hint="Write django_urls(before=[login_not_required]): then keys and permissions decide.",
            obj=view,
            id="pipemount.W010",
        )


def _unwrapped(mounts: Sequence[Mount]) -> Iterator[CheckMessage]:
    """Without a lifespan the first request has to wait for ``on_init``."""
    slow = [app for app in _apps(mounts) if any(_has_init(compiled) for compiled in app.pipelines.values())]
    target = getattr(settings, "ASGI_APPLICATION", None)
    if not slow or not target:
        return
    try:
        application = import_string(target)
    except ImportError:
        return  # which Django tells
    wrapped = set(_wrapped(application))
    for app in slow:
        if app not in wrapped:
            yield Warning(
                f"{target} has no lifespan for the pipelines: on_init runs when the first request comes.",
                hint="Write application = pipelines.wrap(get_asgi_application()), which adds the lifespan and no URL.",
                obj=target,
                id="pipemount.W004",
            )


def _has_init(compiled: Any) -> bool:
    snapshot = getattr(compiled, "snapshot", None)
    return snapshot is not None and snapshot.hooks.on_init is not None


def _wrapped(application: Any) -> Iterator[Any]:
    """The apps whose lifespan runs with that of ``application``: through middleware and Channels' routers."""
    seen: list[Any] = []
    todo = [application]
    while todo:
        one = todo.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        if isinstance(one, LifespanMiddleware):
            yield one.pipelines
        elif isinstance(one, Application):
            yield one
        todo += [getattr(one, name, None) for name in ("app", "application", "inner")]
        todo += dict(getattr(one, "application_mapping", None) or {}).values()


# ----------------------------------------------------------------------------------------- settings


def _atomic(app: Application) -> Iterator[CheckMessage]:
    outside = _elsewhere(app)
    if atomic_aliases() and outside:
        yield Warning(
            f"ATOMIC_REQUESTS does not hold for {_listed(outside)}: they run in threads of their own.",
            hint='Write @step(affinity="request") or Settings(affinity="request") for steps that use the database.',
            obj=_name(app),
            id="pipemount.W005",
        )


def _in_memory(app: Application) -> Iterator[CheckMessage]:
    in_memory = [alias for alias in connections if _is_in_memory(connections[alias])]
    if in_memory and (outside := _elsewhere(app)):
        yield Warning(
            f"The database {in_memory[0]!r} is SQLite in memory: {_listed(outside)}, in other threads, may not see it.",
            hint='Use a file, or @step(affinity="request").',
            obj=_name(app),
            id="pipemount.W006",
        )


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())


def _uwsgi() -> Iterator[CheckMessage]:
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is not None and not {"enable-threads", "threads"} & set(uwsgi.opt):
        yield Warning(
            "uWSGI runs without threads: what pipelines do between two requests stands still.",
            hint="Start uwsgi with --enable-threads.",
            id="pipemount.W007",
        )


def _persistent(app: Application) -> Iterator[CheckMessage]:
    outside = _elsewhere(app)
    for alias, options in connections.settings.items():
        if outside and options.get("CONN_MAX_AGE", 0) != 0:
            yield Warning(
                f"The database {alias!r} keeps its connections (CONN_MAX_AGE), and each of up to "
                f"{app.settings.threads} threads that run {_listed(outside)} keeps one.",
                hint='Set CONN_MAX_AGE to 0, with OPTIONS["pool"] if there is one, or lower Settings(threads=...).',
                obj=_name(app),
                id="pipemount.W008",
            )


def _uploads(app: Application) -> Iterator[CheckMessage]:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if settings.is_overridden("DATA_UPLOAD_MAX_MEMORY_SIZE") and limit and limit < app.settings.max_body_bytes:
        yield Warning(
            f"DATA_UPLOAD_MAX_MEMORY_SIZE is {limit}, but pipelines take up to {app.settings.max_body_bytes} bytes.",
            hint=f"Django's setting is for forms; write Settings(max_body_bytes={limit}) for pipelines.",
            obj=_name(app),
            id="pipemount.W009",
        )


def _elsewhere(app: Application) -> list[str]:
    """The sync steps that run in threads of ours."""
    return sorted({step.name for name in app.pipelines for step, where in sync_steps(app, name) if where == "any"})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _name(app: Application) -> str:
    return f"pipelines {_listed(list(app.pipelines))}"


def _apps(mounts: Sequence[Mount]) -> list[Application]:
    """Each app once."""
    return list(dict.fromkeys(mount.view.pipelines for mount in mounts))
