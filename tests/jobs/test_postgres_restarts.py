"""A database that is killed and started again while jobs run: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.services import Postgres, a_postgres

from pipemount import Local, PipelineApp, Settings, pipeline, step
from pipemount.errors import StoreError
from pipemount.jobs.encoding import encode
from pipemount.jobs.models import Job, JobRequest, Lease, Outcome
from pipemount.jobs.store import Store
from pipemount.runtime.events import Event
from pipemount.service import new_run_id

DONE = Outcome(status="succeeded", result=b"1", execution_time=0.5)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with a_postgres() as server:
        yield server


@pytest.fixture
def url(server: Postgres) -> str:
    return server.new_schema()


@asynccontextmanager
async def opened(url: str, settings: Settings | None = None) -> AsyncIterator[Store]:
    store = Local(url).make_store(settings or Settings())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def asked(pipeline: str = "sum", inputs: bytes = b"{}", fingerprint: str = "f") -> JobRequest:
    return JobRequest(job_id=new_run_id(), pipeline=pipeline, fingerprint=fingerprint, inputs=inputs)


async def leased(store: Store) -> Lease:
    lease = await store.claim_job((await store.submit(asked())).job.id, "w")
    assert lease is not None
    return lease


async def found(store: Store, job_id: str) -> Job:
    job = await store.get(job_id)
    assert job is not None
    return job


async def test_what_a_lease_writes_waits_for_the_database_and_the_rest_is_refused_meanwhile(
    server: Postgres, url: str
) -> None:
    async with opened(url) as store:
        leases = [await leased(store) for _ in range(4)]
        reader = asyncio.create_task(store.wait(leases[0].job.id, 0, 60))
        await asyncio.sleep(0)
        server.kill()
        told = Event("delta", 1, "run", 1.0)
        written = asyncio.gather(
            store.append(leases[0], [encode(told)]),
            store.finish(leases[1], DONE),
            store.requeue(leases[2]),
            store.save_step(leases[3], "a", b"1"),
        )
        for verb in (store.check(), store.submit(asked()), store.get("x"), store.heartbeat(leases)):
            with pytest.raises(StoreError, match="cannot be reached"):
                await verb
        assert not written.done()
        await asyncio.to_thread(server.start)
        assert [*await written] == [True] * 4
        assert await reader, "who waits goes on waiting"
        assert [(await found(store, lease.job.id)).status for lease in leases] == [
            *("running", "succeeded", "queued", "running")
        ]


async def test_no_lease_is_taken_before_its_worker_could_renew_it(server: Postgres, url: str) -> None:
    import psycopg

    settings = Settings(job_lease=3600)
    async with opened(url, settings) as store, opened(url, settings) as other:
        lease = await leased(store)
        async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
            await connection.execute(f"UPDATE {url.rpartition('=')[2]}.jobs SET lease_until = 1".encode())
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        assert await other.rescue() == 0, "the database was away for so long, not the worker"
        assert await store.heartbeat([lease]) == ["held"]


RAN: Counter[tuple[str, int]] = Counter()


@step
async def first(number: int) -> int:
    RAN["first", number] += 1
    await asyncio.sleep(0.1)
    return number + 1


@step
async def second(number: int) -> int:
    RAN["second", number] += 1
    await asyncio.sleep(0.1)
    return number + 1


@pipeline
def adding(number: int) -> Any:
    return second(first(number))


async def test_an_app_goes_on_through_three_ends_of_its_database(server: Postgres, url: str) -> None:
    RAN.clear()
    app = PipelineApp(adding, jobs=Local(url), settings=Settings(max_concurrency=8))
    async with app.lifespan(None):
        jobs: list[str] = []
        for number in range(60):
            if number % 20 == 10:
                await asyncio.to_thread(server.kill)
                restarted = asyncio.create_task(asyncio.to_thread(server.start))
            jobs.append(await accepted(app, number))
            if number % 20 == 10:
                await restarted
        async with asyncio.timeout(60):
            for job_id in jobs:
                job = await app.jobs.until_ended(job_id, None)
                assert (job.status, job.attempt, job.crashes) == ("succeeded", 1, 0)
                subscription = await app.jobs.subscribe(job_id, None)
                seen: list[int] = []
                while not subscription.ended:
                    seen += [event.sequence for event in await subscription.next(10)]
                assert seen == list(range(1, job.last_event + 1)), "no gap, none twice"
    assert set(RAN.values()) == {1} and len(RAN) == 120, "each step once"
    async with opened(url) as store:
        assert await store.counts() == {"succeeded": 60}, "all that was accepted, and no more"


async def accepted(app: PipelineApp, number: int) -> str:
    """The id of a job that was accepted: a caller tries again where the answer is 503."""
    request = asked("adding", b'{"number":%d}' % number, fingerprint="")
    while True:
        try:
            return (await app.jobs.submit(request)).job.id
        except StoreError:
            await asyncio.sleep(0.05)
