"""``kill -9`` of whatever process, again and again, while jobs are submitted and read: nothing accepted is lost.

Row J2 of the hardening matrix, and the promises of docs/durable.md.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.servers import ROOT, Server, serve, wait_until
from tests.support.services import shared_postgres

from pipemount.jobs.models import ENDED
from pipemount.testing.hosts.process import serving

pytestmark = pytest.mark.server

READERS = 4

PROCESSES = 5
"""That perform jobs: four behind the server, and a worker."""


class Chaos:
    """A product under fire: gunicorn with four workers, and a worker without a server beside it.

    Args:
        server: The first.
        commands: Starts the second, again and again.
        ran: Where they note what they do.
    """

    def __init__(self, server: Server, commands: Iterator[Server], ran: Path) -> None:
        self._server, self._commands, self._ran = server, commands, ran
        self._worker = next(commands)
        self.url = f"{server.url}/ai"
        self.accepted: list[str] = []
        self.killed: dict[int, float] = {}
        self.faults: list[str] = []
        self._over = threading.Event()

    # ------------------------------------------------------------------------------------------ callers

    def submit(self) -> None:
        """Ask for jobs until it is over; what was answered 202 was accepted."""
        number = 0
        while not self._over.is_set():
            number += 1
            try:
                answer = httpx.post(f"{self.url}/submit", json={"parameters": {"number": number}}, timeout=30)
            except httpx.HTTPError:  # the process that answered was killed: it promised nothing
                continue
            if answer.status_code == 202:
                self.accepted.append(answer.json()["job_id"])
            elif answer.status_code not in (429, 500, 502, 503):
                self.faults.append(f"{answer.status_code}: {answer.text}")
            time.sleep(0.02)

    def read(self, each: int) -> None:
        """Read the events of some of the jobs, whoever is killed meanwhile; each has all, once and in order."""
        seen = each
        while not (self._over.is_set() and seen >= len(self.accepted)):
            if seen >= len(self.accepted):
                time.sleep(0.05)
                continue
            self._read(self.accepted[seen])
            seen += 4 * READERS

    def _read(self, job_id: str) -> None:
        numbers: list[int] = []
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                after = {"last-event-id": str(numbers[-1])} if numbers else {}
                with httpx.stream("GET", f"{self.url}/jobs/{job_id}/events", headers=after, timeout=30) as answer:
                    if answer.status_code == 204:
                        break
                    for line in answer.iter_lines():
                        if line.startswith("id: "):
                            numbers.append(int(line[4:]))
                        elif line.startswith("data: ") and '"kind":"run_completed"' in line:
                            return self._judge(job_id, numbers)
            except httpx.HTTPError:
                time.sleep(0.05)
        self.faults.append(f"{job_id}: no end after {numbers}")
        return None

    def _judge(self, job_id: str, numbers: list[int]) -> None:
        if numbers != list(range(1, len(numbers) + 1)):
            self.faults.append(f"{job_id}: {numbers}")

    # ------------------------------------------------------------------------------------------- killers

    def kill(self, chance: random.Random) -> None:
        """One process, whichever."""
        victim = chance.choice(self._processes())
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.killed[victim] = time.time()
        if victim == self._worker.process.pid:
            self._worker = next(self._commands)

    def _processes(self) -> list[int]:
        """Those that perform jobs, or are about to."""
        pid = self._server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [*map(int, children), self._worker.process.pid]

    def _has(self, up: int) -> bool:
        """Whether so many of them perform jobs."""
        told = {int(line[3:]) for line in self._ran.read_text().splitlines() if line.startswith("up ")}
        return len(told & {*self._processes()}) >= up

    def run(self, kills: int, up: int) -> None:
        """``kills`` of them; between two some jobs are accepted, so that there is something to lose, and ``up`` of the
        processes are there before the next is killed."""
        threads = [threading.Thread(target=self.submit)]
        threads += [threading.Thread(target=self.read, args=(each,)) for each in range(READERS)]
        for thread in threads:
            thread.start()
        chance = random.Random(kills)
        for _ in range(kills):
            wanted = len(self.accepted) + chance.randint(1, 6)
            wait_until(lambda wanted=wanted: len(self.accepted) >= wanted, 60)  # type: ignore[misc]  # bound now
            wait_until(lambda: self._has(up), 60)
            self.kill(chance)
        self._over.set()
        for thread in threads:
            thread.join(180)
            assert not thread.is_alive()


@contextmanager
def workers(folder: Path, env: dict[str, str]) -> Iterator[Iterator[Server]]:
    """Workers without a server, one after the other; the last is ended at the end."""

    def started() -> Iterator[Server]:
        number = 0
        while True:
            number += 1
            place = folder / f"worker-{number}"
            place.mkdir()
            command = [sys.executable, "-m", "pipemount.cli", "worker", "tests.servers.chaotic:pipelines"]
            with serving(command, folder=place, working=ROOT, env=env, wait=False) as process:
                yield process

    found = started()
    try:
        yield found
    finally:
        found.close()  # type: ignore[attr-defined]  # it is a generator


@pytest.mark.parametrize(
    ("host", "store", "kills", "up"),
    [
        ("fastapi", "sqlite", 3, PROCESSES - 1),
        ("django", "postgres", 3, 0),
        *(
            pytest.param(host, store, 100, up, marks=pytest.mark.full)
            for up in (PROCESSES - 1, 0)
            for host in ("fastapi", "django")
            for store in ("sqlite", "postgres")
        ),
    ],
)
@pytest.mark.timeout(1200)
def test_j2_whoever_is_killed_nothing_accepted_is_lost(
    host: str, store: str, kills: int, up: int, tmp_path: Path
) -> None:
    """As fast as what is killed is replaced, and faster: then there is at times nobody who could recover anything."""
    database = f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else shared_postgres().new_schema()
    ran = tmp_path / "ran.log"
    env = {"DATABASE": database, "HOST": host, "RAN": str(ran), "PYTHONPATH": os.pathsep.join(sys.path)}
    gunicorn = ["gunicorn", "tests.servers.chaotic:app", "-k", "asgi", "-w", "4", "--no-control-socket"]
    (tmp_path / "server").mkdir()
    with (
        serve([*gunicorn, "--bind", "127.0.0.1:{port}"], folder=tmp_path / "server", env=env, wait=False) as server,
        workers(tmp_path, env) as commands,
    ):
        wait_until(lambda: _answers(server), 60)
        chaos = Chaos(server, commands, ran)
        chaos.run(kills, up)
        left = set(chaos.accepted)
        until = time.monotonic() + 120
        while left and time.monotonic() < until:
            left = {job_id for job_id in left if _status(chaos, job_id) not in ENDED}
        statuses = Counter(_status(chaos, job_id) for job_id in chaos.accepted)
        ended = [job_id for job_id in chaos.accepted if job_id not in left]
        starts = {job_id: _starts(chaos, job_id) for job_id in ended}
        others = [_record(chaos, job_id) for job_id in chaos.accepted if _status(chaos, job_id) != "succeeded"]

    assert not others, "\n\n".join(others)
    assert chaos.faults == []
    assert len(chaos.accepted) > kills
    assert statuses == {"succeeded": len(chaos.accepted)}
    times = Counter(ran.read_text().splitlines())
    finished = [times[f"second {job_id}"] for job_id in chaos.accepted]
    assert min(finished) >= 1
    again = sum(finished) - len(finished)
    lasted = max(chaos.killed.values()) - min(chaos.killed.values())
    print(f"{host}, {store}, {kills} kills in {lasted:.0f} s, with {up} processes up or more")
    print(f"  {len(finished)} jobs accepted, {again} last steps begun twice")
    taken, begun = _recoveries(chaos.killed, starts, times, ran.with_suffix(".told").read_text())
    for what, found in (("taken by another process", taken), ("begun again", begun)):
        if found:
            half = found[len(found) // 2]
            print(f"  {len(found)} {what}, half of them within {half:.2f} s, all within {found[-1]:.2f} s")


def _answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/ai/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _status(chaos: Chaos, job_id: str) -> str:
    try:
        found = httpx.get(f"{chaos.url}/jobs/{job_id}", timeout=30)
    except httpx.HTTPError:
        return "not answered"
    return str(found.json().get("status", json.dumps(found.json()))) if found.status_code == 200 else "not answered"


def _starts(chaos: Chaos, job_id: str) -> list[float]:
    """When it was begun, each time."""
    told = httpx.get(f"{chaos.url}/jobs/{job_id}/events", timeout=30).text
    events = (json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: "))
    return [event["time"] for event in events if event["kind"] == "run_started"]


def _recoveries(
    killed: Mapping[int, float], starts: Mapping[str, list[float]], ran: Iterable[str], told: str
) -> tuple[list[float], list[float]]:
    """Seconds, sorted, from the end of each process that had a job until another one had taken the job, and from the
    last of these ends until the job was begun again."""
    holders: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for _, job_id, process in (line.split() for line in ran if line.startswith("begun ")):
        if not holders[job_id]:
            holders[job_id].append((starts.get(job_id, [0.0])[0], int(process)))
    for at, process, job_id in re.findall(r"^(\S+) (\d+) job (\S+) was in a process that ended", told, re.MULTILINE):
        holders[job_id].append((float(at), int(process)))
    taken, begun = [], []
    for job_id, each in holders.items():
        steps = [(killed[one], at) for (_, one), (at, _) in itertools.pairwise(each) if one in killed]
        taken += [at - ended for ended, at in steps]
        again = starts.get(job_id, [])
        if steps and len(again) > 1:
            begun.append(again[-1] - steps[-1][0])
    return sorted(taken), sorted(begun)


def _record(chaos: Chaos, job_id: str) -> str:
    """All that is known of a job, its events included, for whoever reads why it is not as it should be."""
    record = httpx.get(f"{chaos.url}/jobs/{job_id}", timeout=30).text
    ended = _status(chaos, job_id) in ENDED  # the events of another one would never end
    events = httpx.get(f"{chaos.url}/jobs/{job_id}/events", timeout=30).text if ended else "it has not ended"
    return f"{record}\n{events}"
