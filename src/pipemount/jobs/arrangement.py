"""Where an app's jobs are kept and who performs them, as its author says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError
from ..pipelines.options import checked_count, checked_queue
from ..settings import Settings

if TYPE_CHECKING:
    from ..service import Service
    from .alone import Alone
    from .local import LocalRunner
    from .store import Store

__all__ = ["Arrangement", "Local", "check_address", "check_values", "checked", "store_at"]

POSTGRES = ("postgresql", "postgres")


class Arrangement(Protocol):
    """Where an app's jobs are kept, and who sees to them: what ``PipelineApp(…, jobs=…)`` takes."""

    @property
    def target(self) -> str | None:
        """Where the app is found, ``"module:name"``, if its author says so."""
        ...

    def make_store(self, settings: Settings) -> Store:
        """The store; nothing is opened yet."""
        ...

    def make_runner(
        self, store: Store, services: Mapping[str, Service], settings: Settings, alone: Alone
    ) -> LocalRunner:
        """Who sees to the jobs; nothing is started yet."""
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """Jobs in a database, performed by the processes of the app.

    ::

        PipelineApp(weather, jobs=Local("sqlite:///jobs.db"))
        PipelineApp(weather, jobs=Local("postgresql://jobs@db.example/jobs", runner="external"))

    Attributes:
        url: ``sqlite:///jobs.db``, a file below the current directory; ``sqlite:////var/lib/shop/jobs.db``, one
            anywhere on a disk of this machine; or ``postgresql://…``, as libpq has it.
        runner: ``"auto"``: every process that serves the app performs jobs, too; ``"external"``: only
            ``pipemount worker`` does.
        concurrency: Jobs that a process performs at the same time; by default as many as there are places.
        queues: Those that a process takes jobs from, and how many at the same time, ``None`` for no limit of their own:
            ``{"default": None, "slow": 1}``. Empty: all.
        app: Where the app is found, ``"shop.web:pipelines"``, by a process that performs a single job; needed where it
            is no module's attribute, as behind a factory.
        values: Where values are kept that are too large for the database, as fsspec has it:
            ``"s3://bucket/prefix"``, ``"file:///srv/values"``. By default they are with the database.
    """

    url: str = field(repr=False)  # it may have a password in it
    runner: Literal["auto", "external"] = "auto"
    concurrency: int | None = None
    queues: Mapping[str, int | None] = field(default_factory=dict, hash=False)
    app: str | None = None
    values: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.runner not in ("auto", "external"):
            raise ConfigurationError(f"Local(runner={self.runner!r}): 'auto' or 'external'")
        if self.concurrency is not None:
            checked_count(self.concurrency, "Local: concurrency")
        if not isinstance(self.queues, Mapping):
            raise ConfigurationError(f"Local(queues={self.queues!r}): give a mapping, e.g. {{'slow': 1}}")
        for name, limit in self.queues.items():
            checked_queue(name)
            if limit is not None:
                checked_count(limit, f"Local: queues, {name!r}")
        if self.app is not None and ":" not in str(self.app):
            raise ConfigurationError(f"Local(app={self.app!r}): write module:name")
        check_address(self.url)
        check_values(self.values)

    def make_store(self, settings: Settings) -> Store:
        """The store; nothing is opened yet."""
        return store_at(self.url, settings, self.values)

    def make_runner(
        self, store: Store, services: Mapping[str, Service], settings: Settings, alone: Alone
    ) -> LocalRunner:
        """Who sees to the jobs; nothing is started yet."""
        from .local import LocalRunner

        runner = LocalRunner(store, services, settings, concurrency=self.concurrency, queues=self.queues, alone=alone)
        runner.takes = self.runner == "auto"
        return runner

    @property
    def target(self) -> str | None:
        """``app``."""
        return self.app


def checked(jobs: Arrangement) -> Arrangement:
    """``jobs``. Raises ``ConfigurationError`` where it is something else: an address, an engine's own app, a class."""
    if isinstance(jobs, type) or not callable(getattr(jobs, "make_store", None)):
        said = "str" if isinstance(jobs, str) else "class" if isinstance(jobs, type) else type(jobs).__qualname__
        raise ConfigurationError(f"jobs= was given a {said}; write jobs=Local('sqlite:///jobs.db')")
    return jobs


def store_at(url: str, settings: Settings, values: str | None = None) -> Store:
    """The store at addresses as of ``Local``; nothing is opened yet. Raises ``ConfigurationError``."""
    check_address(url)
    if values is not None:
        from .valued import ValuedStore
        from .values import Values

        return cast("Store", ValuedStore(store_at(url, settings), Values(values)))
    if urlsplit(url).scheme in POSTGRES:
        from .postgres import PostgresStore

        return PostgresStore(url, settings)
    from .sqlite import SQLiteStore

    return SQLiteStore(_path(url), settings)


def check_address(url: str, said: str = "Local(") -> None:
    """Raises ``ConfigurationError`` where no store can be at ``url``; ``said``: what its author wrote before it."""
    if not isinstance(url, str):
        raise ConfigurationError(f"{said}{url!r}): write a URL, sqlite:///jobs.db or postgresql://…")
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:  # it may have a password in it, which nobody is told
        raise ConfigurationError(f"{said}…): {error}; in a password write [ as %5B and ] as %5D") from None
    if scheme == "sqlite":
        _path(url, said)
    elif scheme not in POSTGRES:
        raise ConfigurationError(f"{said}{scheme + ':…' if scheme else url!r}): sqlite:/// or postgresql://")


def check_values(url: str | None, said: str = "Local(") -> None:
    """Raises ``ConfigurationError`` where no values can be at ``url``."""
    if url is not None and not (isinstance(url, str) and re.match("[a-z][a-z0-9+.-]*:", url)):
        raise ConfigurationError(
            f"{said}values={url!r}): write an address, e.g. s3://bucket/prefix or file:///srv/values"
        )


def _path(url: str, said: str = "Local(") -> Path:
    """``sqlite:///a.db`` is ``a.db``, ``sqlite:////a.db`` is ``/a.db``: as others have it."""
    parts = urlsplit(url)
    if not url.lower().startswith("sqlite:///") or parts.netloc or len(parts.path) < 2 or parts.query or parts.fragment:
        raise ConfigurationError(f"{said}{url!r}): write sqlite:/// and the path of a file, e.g. sqlite:///jobs.db")
    if parts.path == "/:memory:":
        raise ConfigurationError(f"{said}{url!r}): jobs are kept in memory where jobs= is left out")
    if "\0" in (path := unquote(parts.path[1:])):
        raise ConfigurationError(f"{said}{url!r}): no file has such a name")
    return Path(path)
