"""What names a pipeline on the command line: ``module:name``, or its name in the application that the command is of."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..errors import PipemountError
from .exits import CommandError, from_exception

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline
    from ..http.application import Application
    from ..runtime.environment import StepEnvironment

__all__ = ["Found", "compile_target", "compile_targets", "find", "has_default", "is_url", "load", "mounted"]

MOUNTED: ContextVar[Mapping[str, Application]] = ContextVar("pipemount_mounted")


class Found(NamedTuple):
    """A pipeline, and what the application that it belongs to surrounds its steps with."""

    compiled: CompiledPipeline
    environments: tuple[StepEnvironment, ...] = ()


@contextmanager
def mounted(apps: Mapping[str, Application]) -> Iterator[None]:
    """Within the block, commands are those of a host: its pipelines are known by name, and an only one by none.

    Args:
        apps: What is mounted in the host, by the names of the mounts.
    """
    token = MOUNTED.set(apps)
    try:
        yield
    finally:
        MOUNTED.reset(token)


def has_default() -> bool:
    """Whether a command may be given no target."""
    return MOUNTED.get(None) is not None


def is_url(target: str) -> bool:
    """Whether ``target`` is an address rather than ``module:name``."""
    return target.startswith(("http://", "https://"))


def compile_target(target: str | None) -> CompiledPipeline:
    """The compiled pipeline that ``target`` names."""
    return find(target).compiled


def compile_targets(target: str | None) -> list[CompiledPipeline]:
    """As ``compile_target``; of a host that is given no name, all that is mounted there."""
    apps = MOUNTED.get(None) or {}
    all_mounted = [compiled for app in dict.fromkeys(apps.values()) for compiled in app.pipelines.values()]
    return all_mounted if target is None and all_mounted else [compile_target(target)]


def find(target: str | None) -> Found:
    """The pipeline that ``target`` names.

    Raises:
        CommandError: There is none, or several.
    """
    apps = MOUNTED.get(None)
    if apps is not None and not (target and ":" in target):
        return _find_mounted(target, apps)
    if target is None:
        raise CommandError("name the pipeline, as module:pipeline")
    return Found(_compile(target))


def _find_mounted(target: str | None, apps: Mapping[str, Application]) -> Found:
    """By its name, or where two apps that are mounted have one of that name by the mount's and its own."""
    found = {
        f"{mount}.{name}": Found(compiled, tuple(app.environments))
        for mount, app in apps.items()
        for name, compiled in app.pipelines.items()
    }
    named = [each for known, each in found.items() if target in (None, known, known.partition(".")[2])]
    fitting = list({id(each.compiled): each for each in named}.values())  # an app may be mounted more than once
    if len(fitting) != 1:
        said = "name the pipeline" if target is None else f"{target!r} names {'several' if fitting else 'none'}"
        raise CommandError(f"{said}; mounted here: {', '.join(found) or 'nothing'}")
    return fitting[0]


def _compile(target: str) -> CompiledPipeline:
    from ..adapters.registry import compile

    found = load(target)
    served = getattr(found, "pipelines", None)
    if not isinstance(served, Mapping):
        return compile(found)
    if len(served) > 1:
        raise CommandError(f"{target!r} is an app of several pipelines: {', '.join(served)}; name one of them")
    [compiled] = served.values()
    return cast("CompiledPipeline", compiled)


def load(target: str) -> Any:
    """The object that ``module:name`` names; the current directory is searched first.

    Raises:
        CommandError: With ``ExitCode.USAGE`` where there is no such module or name, with
            ``ExitCode.FAILED`` where the module raises while it is imported.
    """
    module_name, colon, path = target.partition(":")
    _refuse_lookalikes(target, module_name)
    module = _import(module_name)
    if not (colon and path):
        raise CommandError(f"{target!r} names no pipeline; write {_suggestion(module)}")
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise CommandError(f"module {module_name!r} has no {path!r}; it has {_suggestion(module)}") from None
    return found


def _refuse_lookalikes(target: str, module_name: str) -> None:
    if target.startswith("-"):
        raise CommandError("name the pipeline first, then its parameters: module:pipeline --name value")
    if is_url(target):
        raise CommandError(f"{target!r} is an address; this command takes module:pipeline")
    if module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        rest = target[len(module_name) :] or ":pipeline"
        raise CommandError(f"{module_name!r} is a file; write {dotted + rest!r}")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise CommandError(f"{target!r} is not of the form module:pipeline")


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except PipemountError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise CommandError(f"no module named {error.name!r} in {here} or among the installed packages") from None
        raise from_exception(f"importing {name!r}", error) from error
    except Exception as error:
        raise from_exception(f"importing {name!r}", error) from error


def _suggestion(module: ModuleType) -> str:
    """``module:name`` for all that looks like a pipeline there."""
    kinds = {"Pipeline", "PipelineDefinition", "PipelineApp"}
    names = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and kinds & {kind.__name__ for kind in type(value).__mro__}
    ]
    return " or ".join(f"{module.__name__}:{name}" for name in sorted(names)) or f"{module.__name__}:pipeline"
