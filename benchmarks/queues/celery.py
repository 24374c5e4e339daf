"""Celery with Valkey as its broker, each job acknowledged when it has ended; no result is kept."""

from __future__ import annotations

from celery import Celery

from queues.body import FOLDER, VALKEY, do

app = Celery("queues.celery", broker=VALKEY)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
)
OPTIONS = "worker -P prefork -c 1 -l ERROR --without-gossip --without-mingle"
WORKERS = [
    ["-m", "celery", "-A", "queues.celery", *OPTIONS.split(), "-n", f"{name}@%h", f"--statedb={FOLDER}/state-{name}"]
    for name in ("a", "b")
]


@app.task(name="job")
def job(number: int) -> int:
    """The work."""
    return do(number)


class Client:
    """Sends messages."""

    def submit(self, number: int) -> None:
        """Returns when the broker has it."""
        job.delay(number)
