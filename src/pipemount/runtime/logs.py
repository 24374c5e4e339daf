"""Logging with the standard library: what steps log is told as events; lines know the request that they belong to."""

from __future__ import annotations

import logging
from contextvars import ContextVar

from .context import CURRENT

__all__ = ["CURRENT_REQUEST", "RequestIdFilter", "StepLogHandler"]

CURRENT_REQUEST: ContextVar[str | None] = ContextVar("pipemount_request_id", default=None)


class RequestIdFilter(logging.Filter):
    """A filter of ``logging`` that gives each record a ``request_id``: that of the request being answered, or ``-``.

    On a handler, whose format may have ``%(request_id)s`` then; steps of the request, also those in threads, included.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        record.request_id = CURRENT_REQUEST.get() or "-"
        return True


class StepLogHandler(logging.Handler):
    """A handler of ``logging`` that tells a step's lines to whoever listens to its run, as ``log`` events.

    ``logging.getLogger("shop").addHandler(StepLogHandler())``, once in a process: each line finds the step that logged
    it by its context. A line that no step logged, or of a run that nobody listens to, is not even formatted.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one line."""
        context = CURRENT.get(None)
        if context is None or not context.heard:
            return
        try:
            message = self.format(record)
        except Exception:  # as every handler of logging does: a wrong format is reported, and the program goes on
            self.handleError(record)
        else:
            context.log(message, level=record.levelname)
