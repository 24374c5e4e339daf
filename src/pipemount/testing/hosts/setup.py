"""What the product in a server process is told, by one environment variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["KEY", "VARIABLE", "Setup"]

VARIABLE = "PIPEMOUNT_HOST_SETUP"

KEY = "open-sesame-open-sesame"
"""What the product's pipelines are locked with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Which host in which form, and how its start behaves.

    Attributes:
        host: Where the class is: ``module:Class``.
        form: One of its forms.
        folder: Where processes write down what they do, and look for gates.
        mount: Where the pipelines are.
        on_init: ``good``, ``slow`` (until the gate ``init`` opens), ``raises``, or ``raises-once``.
        patience: Seconds that a start is waited for, by servers as well as by requests.
        stream_age: Seconds after which streams end.
        host_start: ``good``, or ``raises``: the host's own start fails.
    """

    host: str
    form: str
    folder: str
    mount: str = "/ai"
    on_init: str = "good"
    patience: float = 20.0
    stream_age: float = 900.0
    host_start: str = "good"

    @classmethod
    def read(cls) -> Setup:
        """That of this process."""
        return cls(**json.loads(os.environ[VARIABLE]))

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that is to read it."""
        return {VARIABLE: json.dumps(asdict(self))}

    @property
    def notes(self) -> Path:
        """The file that processes write lines to."""
        return Path(self.folder) / "notes"

    def gate(self, name: str) -> Path:
        """A file that something waits for."""
        return Path(self.folder) / f"gate-{name}"

    def note(self, what: str) -> None:
        """Writes one line, at once, so that lines of several processes do not mix."""
        with self.notes.open("a") as notes:
            notes.write(f"{os.getpid()} {what}\n")
