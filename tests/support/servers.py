"""Real servers for tests, as the conformance suite for hosts starts them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipemount.testing.hosts.client import Reply
from pipemount.testing.hosts.process import ServerProcess as Server
from pipemount.testing.hosts.process import free_port, serving, wait_until

__all__ = ["Reply", "Server", "free_port", "serve", "wait_until"]

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def serve(
    command: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    wait: bool = True,
    port: int | None = None,
) -> Iterator[Server]:
    """Runs ``python -m`` with ``command`` in the checkout, until the block ends; see ``serving``."""
    whole = [sys.executable, "-m", *command]
    with serving(whole, folder=folder, working=ROOT, env=env, wait=wait, port=port) as server:
        yield server
