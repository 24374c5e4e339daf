"""A web process, an engine's workers and its broker, all real, around the pipelines of ``tests.support.carried``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pipemount.testing.hosts.process import environment

from .engines import Engine
from .servers import ROOT, Server, serve, wait_until

__all__ = ["Carrying", "Worker"]

ENDS = ("run_completed", "run_failed", "run_cancelled")


class Worker:
    """A worker of an engine with its processes, which are a group of their own.

    Attributes:
        process: The first of them.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="replace")

    def kill(self) -> None:
        """``kill -9`` of them all."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """An orderly end: what runs is waited for (SIGTERM), or is not (SIGQUIT). The exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)


class Carrying:
    """What a test needs to have jobs carried.

    Args:
        engine: What carries them.
        broker: Where its broker is, if it has one of its own.
        store: Where the jobs are.
        folder: Where logs and notes are.
        environment: Further variables of the app's module.

    Attributes:
        web: The web process.
    """

    def __init__(self, engine: Engine, broker: str, store: str, folder: Path, **environment: str) -> None:
        self.engine, self.broker, self.folder = engine, broker, folder
        places = {"BROKER": broker, "STORE": store, "FOLDER": str(folder)}
        self._environment = {f"CARRIED_{name}": value for name, value in (places | environment).items()}
        self._environment |= engine.environment
        self.web: Server
        self._workers = 0

    @contextmanager
    def serving(self) -> Iterator[Carrying]:
        """With a web process."""
        command = ["uvicorn", self.engine.app, "--port", "{port}", "--log-level", "warning"]
        with serve(command, folder=self.folder, env=self._environment) as self.web:
            yield self

    @contextmanager
    def worker(self, *options: str, ready: bool = True, **variables: str) -> Iterator[Worker]:
        """With a worker, ``options`` beside its usual ones."""
        self._workers += 1
        log_file = self.folder / f"worker-{self._workers}.log"
        own = {f"CARRIED_{name}": value for name, value in variables.items()}
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", *self.engine.worker(self._workers), *options],
                cwd=ROOT,
                env={**environment(), **self._environment, **own},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(process, log_file)
        try:
            if ready:
                wait_until(lambda: self.engine.ready in worker.log or process.poll() is not None)
                assert process.poll() is None, worker.log
            yield worker
        finally:
            worker.kill()

    @contextmanager
    def watched(self, jobs: Sequence[str]) -> Iterator[None]:
        """Each job is read while the block lasts, from its beginning to its end, which has to come: one whole log."""
        with ExitStack() as streams:
            readers = [streams.enter_context(self.web.stream(f"/jobs/{job_id}/events")) for job_id in jobs]
            yield
            for reader in readers:
                told = reader.all_told()
                assert [each.number for each in told] == list(range(1, len(told) + 1)), "a gap, or one twice"
                assert [each.kind for each in told if each.kind in ENDS] == ["run_completed"]
                assert told[-1].kind == "run_completed"

    def submit(self, pipeline: str, timeout: float | None = None, expires: float | None = None, **inputs: Any) -> str:
        """The id of a job that was accepted."""
        asked = {"parameters": inputs, "timeout": timeout, "expires": expires}
        reply = self.web.post(f"/pipelines/{pipeline}/submit", asked)
        assert reply.status == 202, reply
        found: str = reply.json()["job_id"]
        return found

    def job(self, job_id: str) -> Mapping[str, Any]:
        """Its record."""
        found: Mapping[str, Any] = self.web.get(f"/jobs/{job_id}").json()
        return found

    def ended(self, job_id: str) -> Mapping[str, Any]:
        """Its record, once it has ended: its events are followed, and nobody is asked again and again."""
        with self.web.stream(f"/jobs/{job_id}/events") as events:
            events.all_told()
        return self.job(job_id)

    def begun(self) -> Counter[str]:
        """How often each was begun, by the names that they were given."""
        notes = self.folder / "begun"
        return Counter(notes.read_text().split() if notes.exists() else ())

    def until_begun(self, name: str) -> None:
        """Return when the step of that name has begun."""
        wait_until(lambda: name in self.begun())

    def deliver(self, job_id: str, pipeline: str = "counting", times: int = 1) -> None:
        """Send a message as the app would, again."""
        self.engine.deliver(self.broker, self.web, job_id, pipeline, times)

    def flush(self) -> None:
        """Whatever the broker has is gone."""
        self.engine.flush(self.broker, self.web)
