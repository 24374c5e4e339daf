"""Real engines for steps that run elsewhere: a Dask cluster of processes by their ids, and Ray on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from pipemount.pipelines.executors import StepExecutor
from pipemount.testing.hosts.process import environment

from .servers import ROOT, free_port, wait_until

__all__ = ["DaskCluster", "Engine", "RayHere", "dask_cluster", "ray_here"]


class Engine(Protocol):
    """What the suite of executors needs of an engine with two workers."""

    name: str

    def executor(self, **options: Any) -> StepExecutor:
        """Where to run."""

    def add_worker(self) -> object:
        """In the place of one that was killed, where the engine does not see to that."""


class DaskCluster:
    """A scheduler and workers, each a process of one thread."""

    name = "dask"

    def __init__(self, folder: Path) -> None:
        self._folder, self._processes = folder, list[subprocess.Popen[bytes]]()
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self.start_scheduler()

    def executor(self, **options: Any) -> StepExecutor:
        from pipemount.dask import Dask

        return Dask(self.address, **options)

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        here = ["--host", "127.0.0.1", "--port", str(self.port), "--dashboard-address", "127.0.0.1:0"]
        return self._start("scheduler", [*here, "--no-dashboard"])

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Not awaited: the scheduler hears of it when it is up."""
        options = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--host", "127.0.0.1"]
        options += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        return self._start("worker", [self.address, *options, "--local-directory", str(self._folder)])

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self._folder.glob("dask-*.log"))

    def end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(30)

    def _start(self, what: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._folder / f"dask-{len(self._processes)}-{what}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", f"distributed.cli.dask_{what}", *arguments],
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[DaskCluster]:
    cluster = DaskCluster(folder)
    try:
        for _ in range(workers):
            cluster.add_worker()
        wait_until(lambda: cluster.log().count("Starting established connection") >= 2 * workers or _ended(cluster), 60)
        assert not _ended(cluster), cluster.log()
        yield cluster
    finally:
        cluster.end()


def _ended(cluster: DaskCluster) -> bool:
    return any(process.poll() is not None for process in cluster._processes)


class RayHere:
    """Ray with two workers on this machine, which this process started; Ray sees to others itself."""

    name = "ray"

    def executor(self, **options: Any) -> StepExecutor:
        from pipemount.ray import Ray

        return Ray(**{"grace": 1.0, **options})

    def add_worker(self) -> None:
        """Ray starts workers as they are needed."""


@contextmanager
def ray_here() -> Iterator[RayHere]:
    import ray

    quiet: Any = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        same = {"env_vars": {"PYTHONPATH": environment()["PYTHONPATH"]}}
        ray.init(num_cpus=2, runtime_env=same, **quiet)
    try:
        with pytest.MonkeyPatch.context() as patched:
            # Where it says that a worker died, Ray would put a `print` of its own in the place of Python's.
            patched.setenv("RAY_TQDM_PATCH_PRINT", "0")
            yield RayHere()
    finally:
        ray.shutdown()
