"""Procrastinate: two async workers of eight jobs at the same time each, told of jobs by PostgreSQL."""

from __future__ import annotations

from procrastinate import App, PsycopgConnector

from queues.body import POSTGRES, do

app = App(connector=PsycopgConnector(conninfo=POSTGRES))
WORKERS = [["-m", "procrastinate", "--app=queues.procrastinate.app", "worker", "--concurrency=8"]] * 2


@app.task(name="job")
async def job(number: int) -> int:
    """The work."""
    return do(number)


class Client:
    """Writes into the database."""

    async def open(self) -> None:
        """The tables."""
        await app.open_async()
        await app.schema_manager.apply_schema_async()

    async def close(self) -> None:
        """The connections."""
        await app.close_async()

    async def submit(self, number: int) -> None:
        """Returns when it is committed."""
        await job.defer_async(number=number)
