"""Compiled pipelines inside the web application that a team already has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .types import VERSION

if TYPE_CHECKING:
    from .adapters.registry import compile
    from .app import PipelineApp
    from .auth.keys import AuthKeys
    from .browsers import Cors, SecureHeaders
    from .errors import CompileError, PipelineError, PipemountError
    from .http.extras import Endpoint, StaticFolder
    from .http.middleware import PipelineMiddleware
    from .inprocess import pipeline
    from .jobs.arrangement import Local
    from .pipelines.codecs import Codec, codec_for, register_codec
    from .pipelines.specs import Retry
    from .pipelines.static import Static
    from .pipelines.steps import step
    from .pipelines.unmapped import unmapped
    from .runtime.acting import acting_as
    from .runtime.context import StepContext, get_step_context
    from .runtime.logs import RequestIdFilter, StepLogHandler
    from .settings import Limits, RateLimit, Settings
    from .types import Principal

__version__ = VERSION

__all__ = [
    "AuthKeys",
    "Codec",
    "CompileError",
    "Cors",
    "Endpoint",
    "Limits",
    "Local",
    "PipelineApp",
    "PipelineError",
    "PipelineMiddleware",
    "PipemountError",
    "Principal",
    "RateLimit",
    "RequestIdFilter",
    "Retry",
    "SecureHeaders",
    "Settings",
    "Static",
    "StaticFolder",
    "StepContext",
    "StepLogHandler",
    "acting_as",
    "codec_for",
    "compile",
    "get_step_context",
    "pipeline",
    "register_codec",
    "step",
    "unmapped",
]

_HOMES = {
    "AuthKeys": "auth.keys",
    "Codec": "pipelines.codecs",
    "CompileError": "errors",
    "Limits": "settings",
    "Local": "jobs.arrangement",
    "Cors": "browsers",
    "Endpoint": "http.extras",
    "PipelineApp": "app",
    "PipelineError": "errors",
    "PipelineMiddleware": "http.middleware",
    "PipemountError": "errors",
    "Principal": "types",
    "RateLimit": "settings",
    "RequestIdFilter": "runtime.logs",
    "Retry": "pipelines.specs",
    "SecureHeaders": "browsers",
    "Settings": "settings",
    "Static": "pipelines.static",
    "StaticFolder": "http.extras",
    "StepContext": "runtime.context",
    "StepLogHandler": "runtime.logs",
    "acting_as": "runtime.acting",
    "codec_for": "pipelines.codecs",
    "compile": "adapters.registry",
    "get_step_context": "runtime.context",
    "pipeline": "inprocess",
    "register_codec": "pipelines.codecs",
    "step": "pipelines.steps",
    "unmapped": "pipelines.unmapped",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: a module of steps need not load the HTTP application."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
