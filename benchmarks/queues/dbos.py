"""DBOS: workflows of one step, queued in PostgreSQL; two processes take them from there."""

from __future__ import annotations

import sys
import threading
from typing import Any

from dbos import DBOS, DBOSConfig

from queues.body import POSTGRES, do

NAME = "jobs"
WORKERS = [["-m", "queues.dbos", executor] for executor in ("a", "b")]


@DBOS.step()
async def work(number: int) -> int:
    """One step."""
    return do(number)


@DBOS.workflow()
async def job(number: int) -> int:
    """Of one step."""
    return await work(number)


def launch(executor: str, *, listens: bool) -> None:
    """Begin; a process that only submits takes nothing from the queue."""
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": POSTGRES,
        "executor_id": executor,
        "application_version": "1",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.listen_queues([NAME] if listens else [])
    DBOS.launch()


class Client:
    """Writes into the database."""

    async def open(self) -> None:
        """Begin."""
        launch("submits", listens=False)
        await DBOS.register_queue_async(NAME, polling_interval_sec=0.05)

    async def close(self) -> None:
        """End."""
        DBOS.destroy()

    async def submit(self, number: int) -> Any:
        """Returns when it is committed."""
        return await DBOS.enqueue_workflow_async(NAME, job, number)


if __name__ == "__main__":
    launch(sys.argv[1], listens=True)
    DBOS.register_queue(NAME, polling_interval_sec=0.05)
    threading.Event().wait()
