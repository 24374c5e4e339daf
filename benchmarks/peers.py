"""Virtual environments of the peers: each library has its own, outside the clone, made once and kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["PeerUnavailableError", "interpreter", "version"]

HERE = Path(__file__).parent
VERSION = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


class PeerUnavailableError(Exception):
    """A library did not install or did not start; the message is what the table says."""


def cache() -> Path:
    """``$XDG_CACHE_HOME/pipemount-bench``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipemount-bench"


def interpreter(peer: str) -> Path:
    """The Python of ``peer``'s environment, made if need be; of this one for ``""``."""
    if not peer:
        return Path(sys.executable)
    requirements = HERE / "peers" / f"{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache() / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing {peer} into {folder}", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder)], peer)
        _run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], peer)
        (folder / "complete").touch()
    return python


def version(python: Path, distribution: str) -> str:
    """The version of a distribution in that environment, or ``"-"``."""
    done = subprocess.run([str(python), "-c", VERSION, distribution], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "-"


def _run(command: list[str], peer: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise PeerUnavailableError(f"did not install: {lines[-1][:160]}")
