"""What steps log with the standard library, told as events."""

from __future__ import annotations

import logging

from .context import CURRENT

__all__ = ["StepLogHandler"]


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
