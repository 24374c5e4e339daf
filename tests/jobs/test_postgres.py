"""What the store in PostgreSQL does beside what every store does: connections, leases by time, other processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from textwrap import dedent
from time import monotonic
from typing import Any

import pytest
from tests.support.proxies import a_wire
from tests.support.services import Postgres, shared_postgres

from pipemount import Local, Settings
from pipemount.errors import ConfigurationError, StoreError
from pipemount.jobs.encoding import encode
from pipemount.jobs.models import Claim, Job, JobEvent, JobQuery, JobRequest, Lease, Outcome
from pipemount.jobs.postgres import clock, wakeups
from pipemount.jobs.postgres.address import Address
from pipemount.jobs.sql.rows import size_of
from pipemount.jobs.store import Store
from pipemount.runtime.events import Event, EventKind
from pipemount.service import new_run_id
from pipemount.testing.hosts.process import environment, free_port

SHORT = Settings(job_lease=0.2, job_heartbeat=0.1)
END_THEM = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
DONE = Outcome(status="succeeded", result=b"1", execution_time=0.5)


@pytest.fixture(scope="module")
def server() -> Postgres:
    return shared_postgres()


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


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with opened(url) as store:
        yield store


async def told(server: Postgres, statement: str) -> list[tuple[Any, ...]]:
    """What the database says, to somebody else."""
    import psycopg

    async with await psycopg.AsyncConnection.connect(server.url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode())
        return await cursor.fetchall() if cursor.description else []


def schema_of(url: str) -> str:
    return url.rpartition("schema=")[2]


def asked(**options: Any) -> JobRequest:
    return JobRequest(job_id=new_run_id(), pipeline="sum", fingerprint="f", inputs=b"{}", **options)


def event(sequence: int, kind: EventKind = "delta") -> JobEvent:
    return encode(Event(kind, sequence, "run", 1.0))


async def leased(store: Store, worker: str = "w", **options: Any) -> Lease:
    lease = await store.claim_job((await store.submit(asked(**options))).job.id, worker)
    assert lease is not None
    return lease


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """What ``holds`` gives, once that is something."""
    async with asyncio.timeout(60):
        while not (found := await holds()):
            await asyncio.sleep(0.01)
    return found


class Process:
    """Python elsewhere that does what a script says, line by line as it is told to go on."""

    def __init__(self, script: str, *arguments: str) -> None:
        command = [sys.executable, "-c", dedent(HEAD) + dedent(script), *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )

    async def said(self) -> list[str]:
        """The words of its next line."""
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).split()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    async def end(self) -> tuple[int, list[str]]:
        """Its exit code, and the words that it still had to say."""
        out, _ = await asyncio.to_thread(self.process.communicate)
        return self.process.returncode, out.split()


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts processes; they are gone at the end."""
    started: list[Process] = []

    def start(script: str, *arguments: str) -> Process:
        started.append(Process(script, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


Start = Callable[..., Process]

HEAD = """
    import asyncio, os, sys, time
    clock = time.time
    time.time = lambda: clock() + float(sys.argv[2])
    from pipemount import Local, Settings
    from pipemount.jobs.models import Claim
    store = Local(sys.argv[1]).make_store(Settings(job_lease=float(sys.argv[3]), job_heartbeat=0.1))
"""


# -------------------------------------------------------------------------------------- the way to it


@pytest.mark.parametrize(
    ("change", "way_out"),
    [
        (lambda url: url.replace("postgres@", "locked:secret@"), "the user and the password"),
        (lambda url: url.replace("/postgres?", "/nothing?"), "createdb"),
        (lambda url: url.replace("postgres@", "nobody@"), "createuser"),
    ],
    ids=["wrong password", "no database", "no role"],
)
async def test_a_database_that_lets_nobody_in_is_explained(
    server: Postgres, url: str, change: Callable[[str], str], way_out: str
) -> None:
    await told(server, "DROP ROLE IF EXISTS locked")
    await told(server, "CREATE ROLE locked LOGIN PASSWORD 'other'")
    with pytest.raises(StoreError) as raised:
        async with opened(change(url)):
            pass
    assert way_out in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_a_database_that_is_not_there_is_explained() -> None:
    port = free_port()
    with pytest.raises(StoreError, match=f"'jobs' at 127.0.0.1:{port} cannot be reached: see whether it runs"):
        async with opened(f"postgresql://ada:secret@127.0.0.1:{port}/jobs"):
            pass


@pytest.mark.parametrize(
    "query", ["schema=Jobs", "schema=a;drop", "schema=", "connections=0", "connections=many", "sslmod=require"]
)
def test_an_address_that_cannot_be_read_is_refused_when_the_app_is_made(query: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Local(f"postgresql://ada:secret@127.0.0.1/jobs?{query}").make_store(Settings())
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql:///shop?host=/run/postgresql", {"dbname": "shop", "host": "/run/postgresql"}),
        ("postgresql://", {}),
        ("postgres://a:1,b:2/shop?target_session_attrs=any", {"host": "a,b", "port": "1,2", "dbname": "shop"}),
        ("postgresql://db/shop?options=-c%20geqo%3Doff&schema=jobs", {"options": "-c geqo=off"}),
        ("postgresql://db/shop?application_name=a+b%2Bc", {"application_name": "a+b+c"}),
        ("postgresql://ada:a%3F%23%40@db/shop?connections=4", {"user": "ada", "password": "a?#@"}),
    ],
)
def test_an_address_is_read_as_libpq_reads_it(url: str, said: dict[str, str]) -> None:
    found = Address.of(url).parameters
    assert {**found, **said} == found


async def test_what_callers_are_told_names_neither_the_database_nor_its_user(
    server: Postgres, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_wire(server.port) as wire, opened(url.replace(str(server.port), str(wire.port))) as store:
        await store.check()
        wire.shut()
        for _ in range(2):
            with pytest.raises(StoreError) as raised:
                await store.check()
    assert str(raised.value) == "the database of the jobs cannot be reached"
    assert raised.value.headers["retry-after"]
    warned = [record for record in caplog.records if "cannot be reached" in record.getMessage()]
    assert len(warned) == 1 and str(wire.port) in warned[0].getMessage(), "the log says it once, and why"


# ---------------------------------------------------------------------------------------- connections


async def test_connections_that_broke_are_made_anew_without_a_word(server: Postgres, store: Store) -> None:
    lease = await leased(store)
    for _ in range(3):
        await told(
            server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pipemount'"
        )
        assert await store.append(lease, [event((await found(store, lease)).last_event + 1)])
    assert [each.sequence for each in await store.read_events(lease.job.id, 0, 9)] == [1, 2, 3]


async def found(store: Store, lease: Lease) -> Job:
    job = await store.get(lease.job.id)
    assert job is not None
    return job


async def test_when_all_connections_are_in_use_one_waits_and_not_for_ever(
    server: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    async with opened(url + "&connections=1") as store:
        jobs = [(await store.submit(asked())).job.id for _ in range(5)]
        assert all(await asyncio.gather(*(store.get(job_id) for job_id in jobs * 10))), "they take turns"
        lease = await store.claim_job(jobs[0], "w")
        assert lease is not None
        async with await psycopg.AsyncConnection.connect(server.url) as other:
            await other.execute(f"SELECT FROM {schema_of(url)}.jobs FOR UPDATE".encode())
            stuck = asyncio.create_task(store.append(lease, [event(1)]))
            await asyncio.sleep(0.05)
            monkeypatch.setattr("pipemount.jobs.postgres.connections.IN_LINE", 0.05)
            with pytest.raises(StoreError, match="all 1 connections to the database of the jobs are in use"):
                await store.get(jobs[0])
            await other.rollback()
            assert await stuck
        await store.check()


VERBS = ["submit", "claim", "claim_job", "append", "finish", "requeue", "suspend", "save_step"]


@pytest.mark.parametrize("verb", VERBS)
async def test_what_was_carried_out_though_the_answer_was_lost_is_told_again_and_changes_nothing(
    server: Postgres, url: str, verb: str
) -> None:
    async with opened(url) as witness, a_wire(server.port) as wire:
        through = url.replace(f":{server.port}", f":{wire.port}") + "&connections=1"
        async with opened(through) as store:
            lease, request, more = (
                await leased(store),
                asked(),
                [(await store.submit(asked())).job.id for _ in range(3)],
            )
            second = more[1]
            verbs: dict[str, Callable[[], Awaitable[Any]]] = {
                "submit": lambda: store.submit(request),
                "claim": lambda: store.claim(Claim("w", ["sum"], 1)),
                "claim_job": lambda: store.claim_job(second, "w"),
                "append": lambda: store.append(lease, [event(1), event(2)]),
                "finish": lambda: store.finish(lease, DONE, [event(1, "run_completed")]),
                "requeue": lambda: store.requeue(lease, None, [event(1)], crashed=True),
                "suspend": lambda: store.suspend(lease, {"key": "a"}, [event(1), event(2, "step_started")]),
                "save_step": lambda: store.save_step(lease, "a", b"1"),
            }
            said = {"submit": request.job_id, "claim": "sum", "claim_job": second}
            wire.cut_before_answer(said.get(verb, lease.job.id))
            given = await verbs[verb]()
            assert given and wire.cuts == 1
        job = await found(witness, lease)
        events = await witness.read_events(job.id, 0, 9)
        assert [each.sequence for each in events] == list(range(1, job.last_event + 1))
        assert job.crashes == (verb == "requeue")
        numbers = "passing + kept AS events, passing_bytes + kept_bytes AS bytes, size"
        [counted] = await told(server, f"SELECT {numbers} FROM {schema_of(url)}.jobs WHERE id = '{job.id}'")
        size = sum(len(each.body) for each in events)
        rest = size_of(job.request) + len(job.result or b"") + (verb == "save_step")
        assert counted == (len(events), size, size + rest), "nothing is counted twice"
        assert len((await witness.list(JobQuery())).jobs) == 4 + (verb == "submit")
        running = {each.id for each in (await witness.list(JobQuery(status=("running",)))).jobs} - {job.id}
        assert running == {"claim": {more[0]}, "claim_job": {second}}.get(verb, set()), "it has what was claimed"


async def test_a_child_has_connections_of_its_own(server: Postgres, url: str, start: Start) -> None:
    script = """
        async def submit():
            from pipemount.jobs.models import JobRequest
            from pipemount.service import new_run_id
            await store.submit(JobRequest(job_id=new_run_id(), pipeline="sum", fingerprint="f", inputs=b"{}"))

        async def of_child():
            store.forget()
            await store.open()
            await submit()
            print("child", flush=True)
            await asyncio.to_thread(sys.stdin.readline)  # while it begins to listen
            await store.close()

        loop = asyncio.new_event_loop()
        loop.run_until_complete(store.open())
        loop.run_until_complete(submit())
        loop.run_until_complete(asyncio.sleep(0.2))  # by now its connections wait for the next
        print("open", flush=True)
        sys.stdin.readline()
        if os.fork() == 0:
            asyncio.run(of_child())
            os._exit(0)
        assert os.wait()[1] == 0
        print("again", flush=True)
        sys.stdin.readline()
        loop.run_until_complete(submit())
        loop.run_until_complete(store.close())
    """
    process = start(script, url + "&application_name=forks", "0", "30")
    sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'forks'"
    assert await process.said() == ["open"]
    before = set(await told(server, sessions))
    process.go_on()
    assert await process.said() == ["child"]

    async def two_more() -> bool:
        return len(set(await told(server, sessions)) - before) == 2

    await until(two_more)  # one that it listens on, and one for the rest
    process.go_on()
    assert await process.said() == ["again"]
    assert before <= set(await told(server, sessions)), "the child has ended, and its parent's go on"
    process.go_on()
    assert await process.end() == (0, [])
    async with opened(url) as store:
        assert await store.counts() == {"queued": 3}


# --------------------------------------------------------------------------------------------- tables


async def test_a_job_of_the_version_before_is_begun_by_this_one(
    server: Postgres, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipemount.jobs.postgres import schema

    with monkeypatch.context() as before:
        before.setattr(schema.migrate, "__defaults__", (schema.MIGRATIONS[:-1],))
        async with opened(url):
            pass
    request = '{"fingerprint":"f","principal":null,"trace":null,"idempotency":null}'
    await told(
        server,
        f"INSERT INTO {schema_of(url)}.jobs "
        "(id, pipeline, queue, priority, owner, keyed, request, inputs, status, created, size) "
        f"VALUES ('old', 'sum', 'default', 0, '', false, '{request}', '{{}}', 'queued', 1.0, 100)",
    )
    async with opened(url) as store:
        assert await store.expire() is None
        lease = await store.claim_job("old", "w")
        assert lease is not None and lease.job.expires_at is None
        late = (await store.submit(asked(expires=0.001))).job
        assert late.expires_at is not None
        await asyncio.sleep(0.01)
        await store.expire()
        assert (await store.counts())["failed"] == 1


async def test_tables_of_an_older_version_become_those_of_this_one_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipemount.jobs.postgres import schema

    async with opened(url) as store:
        lease = await leased(store)
        await store.append(lease, [event(1)])
    added = "ALTER TABLE {schema}.jobs ADD COLUMN shoe_size integer NOT NULL DEFAULT 43"
    monkeypatch.setattr(schema.migrate, "__defaults__", ((*schema.MIGRATIONS, added),))
    stores = [Local(url).make_store(Settings()) for _ in range(5)]
    await asyncio.gather(*(each.open() for each in stores))
    try:
        assert (await found(stores[0], lease)).last_event == 1
        assert await stores[1].finish(lease, DONE, [event(2, "run_completed")]), "what was leased before goes on"
    finally:
        for each in stores:
            await each.close()
    monkeypatch.undo()
    with pytest.raises(StoreError, match="kept by a newer pipemount"):
        async with opened(url):
            pass


async def test_who_may_not_make_tables_is_told_what_is_needed(server: Postgres, url: str) -> None:
    await told(server, "DROP ROLE IF EXISTS reader")
    await told(server, "CREATE ROLE reader LOGIN")
    with pytest.raises(StoreError, match="needs CREATE on the database, or a schema of that name that it owns"):
        async with opened(url.replace("postgres@", "reader@")):
            pass
    await told(server, f"CREATE SCHEMA {schema_of(url)} AUTHORIZATION reader")
    async with opened(url.replace("postgres@", "reader@")) as store:
        assert await leased(store)
    await told(server, f"DROP SCHEMA {schema_of(url)} CASCADE")
    await told(server, "DROP ROLE reader")


# --------------------------------------------------------------------------------------------- leases


async def lapse(server: Postgres, url: str) -> None:
    """The leases have run out, by the database's clock."""
    await told(server, f"UPDATE {schema_of(url)}.jobs SET lease_until = 1 WHERE lease_until IS NOT NULL")


async def test_a_lease_that_is_renewed_is_nobody_elses_and_one_that_is_not_is_taken_back(url: str) -> None:
    async with opened(url, SHORT) as store, opened(url, SHORT) as other:
        kept, dropped = await leased(store), await leased(store)
        cancelled = await leased(store)
        await store.request_cancel(cancelled.job.id, "enough")

        async def both_are_taken_back() -> bool:
            assert await store.heartbeat([kept]) == ["held"]
            await other.rescue()
            return [(await found(store, each)).status for each in (dropped, cancelled)] == ["queued", "cancelled"]

        await until(both_are_taken_back)
        job = await found(other, dropped)
        assert (job.crashes, job.attempt) == (1, 1)
        assert await store.heartbeat([dropped, kept]) == ["lost", "held"]
        assert not await store.append(dropped, [event(1)])
        assert not await store.finish(dropped, DONE, [event(1, "run_completed")])
        assert (await found(store, cancelled)).status == "cancelled", "nobody performs it: it need not wait"
        [again] = await other.claim(Claim("other", ["sum"], 9))
        assert again.job.id == dropped.job.id and again.fence > dropped.fence


async def test_a_job_whose_workers_are_lost_three_times_fails_and_its_neighbour_does_not(
    server: Postgres, url: str
) -> None:
    async with opened(url, SHORT) as store:
        lease = await leased(store)
        neighbour = (await store.submit(asked())).job.id
        for crashes in (1, 2, 3):
            await lapse(server, url)
            assert await until(store.rescue) == 1
            assert (await found(store, lease)).crashes == crashes
            if (claimed := await store.claim_job(lease.job.id, "w")) is not None:
                await lapse(server, url)
                assert await until(store.rescue) == 1, "it was not begun"
                assert (await found(store, lease)).crashes == crashes
                claimed = await store.claim_job(lease.job.id, "w")
                assert claimed is not None and claimed.job.attempt == crashes + 1
                assert await store.hand_over(claimed, "w")
        job = await found(store, lease)
        assert job.error is not None
        assert (job.status, job.error["code"], job.last_event) == ("failed", "worker-lost", 1)
        assert (await store.claim(Claim("w", ["sum"], 9)))[0].job.id == neighbour


@pytest.mark.parametrize("offset", ["3600", "-3600"])
async def test_the_databases_clock_decides_whatever_a_workers_own_says(
    server: Postgres, url: str, start: Start, offset: str
) -> None:
    script = """
        async def main():
            await store.open()
            [lease] = await store.claim(Claim("far", ["sum"], 1))
            print(lease.job.id, flush=True)
            sys.stdin.readline()
            hasty = Local(sys.argv[1]).make_store(Settings(job_lease=0.2, job_heartbeat=0.1))
            await hasty.open()
            print(await hasty.rescue(), *await store.heartbeat([lease]), flush=True)
            await hasty.close()
            await store.close()

        asyncio.run(main())
    """
    async with opened(url) as store, opened(url, SHORT) as hasty:
        near = await leased(store)
        far = (await store.submit(asked())).job.id
        late = (await store.submit(asked(run_at=near.job.created + 1800))).job.id
        process = start(script, url, offset, "30")
        assert await process.said() == [far], f"{late} is not due"
        assert await hasty.rescue() == 0, "its lease is as long as any"
        process.go_on()
        assert await process.end() == (0, ["0", "held"]), "nor does it take ours"


@pytest.mark.parametrize("hours", [1, -1])
async def test_when_the_databases_clock_is_set_nobody_who_lives_loses_a_lease(
    server: Postgres, url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hours: int
) -> None:
    shift = passed = 0.0

    def watched(store: Store) -> None:
        """Its database tells another time, which this test sets."""
        fetch = store._connections.fetch  # type: ignore[attr-defined]  # what all its statements go through

        async def shifted(statement: str, *arguments: Any, **options: Any) -> Any:
            own = "extract(epoch FROM now())"
            return await fetch(statement.replace(own, f"({own} + {shift + passed})"), *arguments, **options)

        monkeypatch.setattr(store._connections, "fetch", shifted)  # type: ignore[attr-defined]  # as above

    async def up_for_a_lease() -> bool:
        return bool(await told(server, "SELECT 1 WHERE pg_postmaster_start_time() < now() - interval '5 s'"))

    await until(up_for_a_lease)  # before that none is taken away, whatever the clock says
    monkeypatch.setattr(clock, "monotonic", lambda: monotonic() + passed)
    settings = Settings(job_lease=5.0, job_heartbeat=1.0)
    async with opened(url, settings) as store, opened(url, settings) as other:
        for each in (store, other):
            watched(each)
        kept, dropped = await leased(store), await leased(store)
        assert await other.rescue() == 0
        shift = hours * 3600.0
        assert await other.rescue() == 0, "nobody is late"
        assert "was set by" in caplog.text
        assert await store.heartbeat([kept]) == ["held"]
        assert (await found(store, dropped)).status == "running"
        passed = 6.0  # a little more than a lease

        async def rescued() -> int:
            assert await store.heartbeat([kept]) == ["held"]
            return await other.rescue()

        assert await (until(rescued) if hours > 0 else rescued()) == (hours > 0)
        assert await store.heartbeat([kept]) == ["held"]
        assert (await found(store, dropped)).status == ("queued" if hours > 0 else "running")


async def test_two_processes_never_claim_the_same_job(url: str, start: Start) -> None:
    script = """
        async def main():
            await store.open()
            print("ready", flush=True)
            sys.stdin.readline()
            while leases := await store.claim(Claim(str(os.getpid()), ["sum"], 3)):
                print(*(lease.job.id for lease in leases), flush=True)
            await store.close()

        asyncio.run(main())
    """
    async with opened(url) as store:
        jobs = [(await store.submit(asked())).job.id for _ in range(120)]
        processes = [start(script, url, "0", "30") for _ in range(2)]
        for process in processes:
            assert await process.said() == ["ready"]
        for process in processes:
            process.go_on()
        claimed = [words for _, words in await asyncio.gather(*(process.end() for process in processes))]
        assert all(claimed), "both had some"
        assert sorted(claimed[0] + claimed[1]) == sorted(jobs), "each once"
        assert claimed == [[job for job in jobs if job in mine] for mine in claimed], "the oldest first"


async def test_a_process_that_is_killed_gives_its_job_up_when_its_lease_has_run_out(url: str, start: Start) -> None:
    script = """
        async def main():
            await store.open()
            [lease] = await store.claim(Claim("killed", ["sum"], 1))
            await store.save_step(lease, "a", b"1")
            print("has it", flush=True)
            sys.stdin.readline()

        asyncio.run(main())
    """
    async with opened(url, SHORT) as store:
        first, second = [(await store.submit(asked())).job.id for _ in range(2)]
        process = start(script, url, "0", "0.2")
        assert await process.said() == ["has", "it"]
        process.process.kill()
        assert await until(store.rescue) == 1
        leases = await store.claim(Claim("w", ["sum"], 2))
        assert [lease.job.id for lease in leases] == [first, second], "it waits in its old place"
        assert await store.read_steps(leases[0]) == {"a": b"1"}


# -------------------------------------------------------------------------------------------- waking


async def test_what_one_process_writes_wakes_those_who_wait_in_another(url: str) -> None:
    async with opened(url) as store, opened(url) as other:
        lease = await leased(store)
        reader = asyncio.create_task(other.wait(lease.job.id, 0, 60))
        worker = asyncio.create_task(other.wait_for_work(60))
        await asyncio.sleep(0.05)
        await store.append(lease, [event(1)])
        assert await reader
        await store.submit(asked())
        assert await worker


async def test_who_waits_for_work_hears_at_once_of_an_answer_that_came_to_his_own_process(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "LOOK", 60.0)
    async with opened(url) as store:
        lease = await leased(store)
        await store.suspend(lease, {"key": "ask?1", "reason": "?"})
        worker = asyncio.create_task(store.wait_for_work(60))
        await asyncio.sleep(0.05)
        assert await store.resume(lease.job.id, b"1") == "resumed"
        assert await asyncio.wait_for(worker, 20)


async def test_who_waits_is_woken_though_no_message_comes(server: Postgres, url: str) -> None:
    async with opened(url) as store:
        lease = await leased(store)
        reader = asyncio.create_task(store.wait(lease.job.id, 0, 60))
        await asyncio.sleep(0.05)
        await told(server, f"UPDATE {schema_of(url)}.jobs SET last_event = 1")
        assert await reader, "as by a process that ended before it could say so"
        worker = asyncio.create_task(store.wait_for_work(60))
        await asyncio.sleep(0.05)
        await told(server, f"UPDATE {schema_of(url)}.jobs SET status = 'queued', worker = NULL")
        assert await worker


async def test_who_listens_hears_again_after_the_connection_broke(server: Postgres, url: str) -> None:
    listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND query LIKE '%" + schema_of(url) + "%'"
    async with opened(url) as store, opened(url) as other:
        lease = await leased(store)
        before = await until(lambda: both(server, listening))
        await told(server, f"SELECT pg_terminate_backend(pid) {listening}")

        async def anew() -> bool:
            now = await both(server, listening)
            return bool(now) and not set(now) & set(before)

        await until(anew)
        for number in range(1, 4):
            reader = asyncio.create_task(other.wait(lease.job.id, number - 1, 60))
            await store.append(lease, [event(number)])
            assert await reader


async def both(server: Postgres, listening: str) -> list[Any]:
    pids = await told(server, f"SELECT pid {listening}")
    return pids if len(pids) == 2 else []


# ------------------------------------------------------------------------------------------- the rest


def test_a_driver_that_is_not_installed_is_named() -> None:
    script = "import sys; sys.modules['psycopg'] = None\nimport pipemount\n" + (
        "pipemount.Local('postgresql://127.0.0.1/jobs').make_store(pipemount.Settings())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), check=False
    )
    assert "ConfigurationError: jobs in PostgreSQL need an extra: pip install 'pipemount[postgres]'" in done.stderr
