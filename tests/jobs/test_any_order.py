"""J3: verbs in any order, crashes among them: every store comes to what the reference comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.support.services import shared_postgres

from pipemount import Settings
from pipemount.jobs import valued
from pipemount.jobs.memory import MemoryStore
from pipemount.jobs.models import Lease
from pipemount.jobs.sqlite import SQLiteStore
from pipemount.jobs.store import Store
from pipemount.jobs.valued import ValuedStore
from pipemount.jobs.values import Values
from pipemount.testing.stores.machine import StoreMachine


class InMemory(StoreMachine):
    def make_store(self, settings: Settings) -> Store:
        return MemoryStore(settings)


class InAFile(StoreMachine):
    def make_store(self, settings: Settings) -> Store:
        self.folder = TemporaryDirectory(prefix="pipemount-jobs-")
        return SQLiteStore(Path(self.folder.name) / "jobs.db", settings)

    async def crash(self, worker: str, leases: Sequence[Lease]) -> bool:
        """The kernel takes its lock away; nobody has written anything."""
        self.store._joined.remove(worker)  # type: ignore[attr-defined]  # as if its process were another one
        self.store._place.let_go(worker)  # type: ignore[attr-defined]  # what the kernel does
        return True

    async def close(self) -> None:
        await super().close()
        self.folder.cleanup()


class WithValues(InAFile):
    """All values are kept elsewhere, however small."""

    def make_store(self, settings: Settings) -> Store:
        return cast("Store", ValuedStore(super().make_store(settings), Values(f"memory://{uuid4().hex}")))


class InPostgreSQL(StoreMachine):
    """Leases last as long as the test; another process, which thinks that they are short, makes them end and looks."""

    def make_store(self, settings: Settings) -> Store:
        from pipemount.jobs.postgres import PostgresStore

        url = f"{shared_postgres().new_schema()}&connections=2"
        self.hasty = PostgresStore(url, Settings(job_lease=0.002, job_heartbeat=0.001))
        self.is_open = False
        return PostgresStore(url, settings)

    async def crash(self, worker: str, leases: Sequence[Lease]) -> bool:
        await self._opened()
        await self.hasty.heartbeat(leases)
        await asyncio.sleep(0.01)
        return True

    async def expire(self, lease: Lease) -> bool:
        return await self.crash("", [lease])

    async def rescue(self) -> int:
        await self._opened()
        return await self.hasty.rescue()

    async def close(self) -> None:
        await super().close()
        if self.is_open:
            await self.hasty.close()

    async def _opened(self) -> None:
        if not self.is_open:
            await self.hasty.open()
            self.is_open = True


MACHINES = {"memory": InMemory, "sqlite": InAFile, "postgres": InPostgreSQL}


def run(machine: type[StoreMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=steps == 40,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if phase is not Phase.explain],
        ),
    )


@pytest.mark.parametrize(
    ("examples", "steps"),
    [(5, 40), pytest.param(100, 100, marks=[pytest.mark.full, pytest.mark.timeout(1800)])],
    ids=["200", "10000"],
)
@pytest.mark.parametrize("store", MACHINES)
def test_j3_verbs_in_any_order_come_to_what_the_reference_comes_to(store: str, examples: int, steps: int) -> None:
    run(MACHINES[store], examples, steps)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_where_values_are_kept_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valued, "LARGE", 1)
    run(WithValues, 20, 60)
