"""Huey with its SQLite file, synced at each commit as ours is: two consumers of one thread each."""

from __future__ import annotations

from huey import SqliteHuey

from queues.body import FOLDER, do

huey = SqliteHuey(filename=str(FOLDER / "huey.db"), fsync=True, results=False)
WORKERS = [["-m", "huey.bin.huey_consumer", "queues.huey.huey", "-w", "1", "-d", "0.01", "-q"]] * 2


@huey.task()
def job(number: int) -> int:
    """The work."""
    return do(number)


class Client:
    """Writes into the file."""

    def submit(self, number: int) -> None:
        """Returns when it is committed."""
        job(number)
