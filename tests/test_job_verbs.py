"""Jobs in the team's own code: every verb, from any loop and any thread, on behalf of whoever acts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, computed_field
from tests.support.endings import until_ended
from tests.support.stores import STORES

from pipemount import Local, PipelineApp, PipelineError, Settings, StepContext, acting_as, pipeline, step
from pipemount.client import Client
from pipemount.errors import (
    ConfigurationError,
    HomeLoopError,
    IdempotencyMismatchError,
    InvalidInputsError,
    JobEndedError,
    JobNotEndedError,
    NotFoundError,
    ValueLostError,
)


@step
async def speak(word: str, context: StepContext) -> str:
    if word == "fail":
        raise PipelineError("no such word", status=418)
    if word == "wait":
        await asyncio.sleep(600)
    context.emit(word)
    return word.upper()


@pipeline
def say(word: str) -> Any:
    return speak(word)


@pipeline
def tell(word: str = "told") -> Any:
    return speak(word)


@pytest.fixture(params=STORES)
def app(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipelineApp]:
    """The verbs are the same over every store."""
    monkeypatch.setattr("pipemount.http.application.MemoryStore", STORES[request.param])
    app = PipelineApp({"say": say, "tell": tell}, settings=Settings(cleanup_timeout=1))
    yield app
    app.lifecycle.close()


def test_a_job_is_submitted_followed_and_found(app: PipelineApp) -> None:
    job = app.submit_sync("say", word="hello")
    events = list(app.events_sync(job))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.data for event in events if event.kind == "data"] == [{"value": "hello"}]
    assert (events[-1].kind, events[-1].data["outputs"]) == ("run_completed", {"output": "HELLO"})
    assert list(app.events_sync(job.id, after=3)) == events[3:]
    found = app.get_sync(job.id)
    assert (found.id, found.pipeline, found.status) == (job.id, "say", "succeeded")
    assert (found.parameters, found.outputs) == ({"word": "hello"}, {"output": "HELLO"})
    assert job.outputs is None


async def test_the_same_awaited_on_the_app_s_own_loop(app: PipelineApp) -> None:
    async with app.lifespan(None):
        await all_verbs(app)
        with pytest.raises(HomeLoopError):
            app.get_sync("a job")


async def test_the_same_awaited_on_another_loop(app: PipelineApp) -> None:
    app.run_sync("tell")
    await all_verbs(app)


async def all_verbs(app: PipelineApp) -> None:
    job = await app.submit("say", word="fail")
    async with aclosing(app.events(job)) as events:
        kinds = [event.kind async for event in events]
    assert kinds[-1] == "run_failed"
    failed = await app.get(job)
    assert failed.error is not None
    assert (failed.status, failed.error["status"], failed.outputs) == ("failed", 418, None)
    again = await app.retry(failed)
    assert (again.id == job.id, again.status) == (False, "queued")
    assert (await app.list("queued", "running", "failed")).jobs[0].id == again.id
    waiting = await app.submit("say", word="wait")
    async with aclosing(app.events(waiting)) as events:
        async for event in events:
            if event.kind == "step_started":
                assert (await app.cancel(waiting, "enough of it")).cancel_requested
            last = event
    assert (last.kind, (await app.get(waiting)).reason) == ("run_cancelled", "enough of it")


def test_lists_are_filtered_and_have_pages(app: PipelineApp) -> None:
    jobs = [until_ended(app, app.submit_sync(name, word=word)) for name, word in WORDS]
    ids = [job.id for job in jobs]
    assert [job.id for job in app.list_sync().jobs] == ids[::-1]
    assert [job.id for job in app.list_sync("failed").jobs] == [ids[2], ids[1]]
    assert [job.id for job in app.list_sync("failed", pipeline="say").jobs] == [ids[1]]
    first = app.list_sync(limit=2)
    assert [job.id for job in first.jobs] == ids[:1:-1]
    last = app.list_sync(limit=2, cursor=first.cursor)
    assert ([job.id for job in last.jobs], last.cursor) == (ids[1::-1], None)


def test_what_cannot_be_listed(app: PipelineApp) -> None:
    for _ in range(2):
        app.submit_sync("say", word="a")
    wrong: list[Any] = [{"limit": limit} for limit in (0, -1, 2**63, 1.5, "5", True)]
    for options in (*wrong, {"cursor": 5}, {"cursor": "a"}):
        with pytest.raises(InvalidInputsError, match=next(iter(options))):
            app.list_sync(**options)
    for status in ("done", ["failed"], None):
        wrong_status: Any = status
        with pytest.raises(InvalidInputsError, match="one or more of queued, "):
            app.list_sync(wrong_status)
    for name in (5, "\ud800"):
        wrong_name: Any = name
        with pytest.raises(InvalidInputsError, match=r"query\.pipeline: Input should be the name of a pipeline"):
            app.list_sync(pipeline=wrong_name)


@pytest.mark.parametrize("wrong", [None, 5, b"5", UUID(int=5), []])
def test_what_is_neither_a_job_nor_its_id(app: PipelineApp, wrong: Any) -> None:
    for verb in (app.get_sync, app.cancel_sync, app.retry_sync, app.events_sync, partial(app.resume_sync, answer=1)):
        with pytest.raises(ConfigurationError, match="is no job: give what submit returned, or its id"):
            verb(wrong)


def test_an_id_that_no_store_can_look_for_is_that_of_no_job(app: PipelineApp) -> None:
    for verb in (app.get_sync, app.cancel_sync, app.retry_sync):
        with pytest.raises(NotFoundError, match="no such job"):
            verb("\ud800")


def test_what_a_verb_cannot_be_told(app: PipelineApp) -> None:
    job = app.submit_sync("say", word="hello")
    for after in ("1", None, 1.5, True):
        wrong: Any = after
        with pytest.raises(ConfigurationError, match=f"after={after!r}: give the sequence"):
            app.events_sync(job, after=wrong)
    reason: Any = 5
    with pytest.raises(ConfigurationError, match="reason=5: write a text"):
        app.cancel_sync(job, reason)


def test_whoever_has_no_event_yet_misses_none(app: PipelineApp) -> None:
    job = app.submit_sync("say", word="hello")
    assert [event.kind for event in app.events_sync(job, after=-5)][:2] == ["run_started", "step_started"]


def test_what_a_text_may_hold_that_no_store_can_write(app: PipelineApp) -> None:
    job = app.submit_sync("say", word="wait")
    assert "?" in str(app.cancel_sync(job, "a \ud800").reason)
    until_ended(app, job)


@pytest.mark.parametrize(
    "options",
    [
        *({"priority": wrong} for wrong in ("high", 1.5, True, 2**31, -(2**31) - 1)),
        *({"queue": wrong} for wrong in ("", 5, "a\0", "\ud800", "x" * 201)),
        *({"max_attempts": wrong} for wrong in ("3", 1.5, 0)),
        *({"delay": wrong} for wrong in ("1", -1, float("nan"), float("inf"))),
        *({"run_name": wrong} for wrong in (5, "\ud800")),
        *({"timeout": wrong} for wrong in ("1", 0, True, float("nan"), 10**400)),
    ],
)
def test_what_a_job_cannot_be_told(options: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        PipelineApp(say).calling(**options)


WORDS = [("say", "a"), ("say", "fail"), ("tell", "fail"), ("tell", "b")]


def test_what_has_ended_well_is_not_cancelled_and_not_retried(app: PipelineApp) -> None:
    job = until_ended(app, app.submit_sync("say", word="hello"))
    with pytest.raises(JobEndedError):
        app.cancel_sync(job)
    with pytest.raises(JobEndedError):
        app.retry_sync(job)
    waiting = app.submit_sync("say", word="wait")
    with pytest.raises(JobNotEndedError):
        app.retry_sync(waiting)
    app.cancel_sync(waiting)
    assert until_ended(app, waiting).reason == "cancelled on request"
    again = app.retry_sync(waiting)
    assert (again.id == waiting.id, again.parameters) == (False, {"word": "wait"})
    app.cancel_sync(again)


def test_whoever_acts_sees_what_is_their_own_and_the_team_s_code_sees_all(app: PipelineApp) -> None:
    with acting_as("ada"):
        job = app.submit_sync("say", word="wait")
        assert app.get_sync(job).id == job.id
    verbs: list[Callable[[], object]] = [
        lambda: app.get_sync(job),
        lambda: app.cancel_sync(job),
        lambda: app.retry_sync(job),
        lambda: list(app.events_sync(job)),
    ]
    with acting_as("bob"):
        assert not app.list_sync().jobs
        for verb in verbs:
            with pytest.raises(NotFoundError):
                verb()
    with pytest.raises(NotFoundError):
        app.calling(principal=None).get_sync(job)
    assert [found.id for found in app.list_sync().jobs] == [job.id]
    assert app.calling(principal="ada").cancel_sync(job).reason == "cancelled on request of ada"
    assert until_ended(app, job).status == "cancelled"
    again = app.retry_sync(job)  # by the team's own code, for her
    assert again.request.principal is not None
    assert again.request.principal.name == "ada"
    app.cancel_sync(again)


def test_events_that_are_left_early_change_nothing(app: PipelineApp) -> None:
    job = app.submit_sync("say", word="wait")
    with closing(app.events_sync(job)) as events:
        assert next(events).kind == "run_started"
    assert app.get_sync(job).status == "running"
    app.cancel_sync(job)


def test_one_thread_follows_what_another_one_cancels(app: PipelineApp) -> None:
    job = app.submit_sync("say", word="wait")
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(event.kind for event in app.events_sync(job)))
    reader.start()
    app.cancel_sync(job)
    reader.join(30)
    assert told[-1] == "run_cancelled"


# ------------------------------------------------------------------------------------------ once only


def test_a_job_that_is_submitted_twice_with_a_key_is_one(app: PipelineApp) -> None:
    once = app.calling(idempotency_key="nightly")
    first = once.submit_sync("say", word="a")
    assert once.submit_sync("say", word="a").id == first.id
    assert until_ended(app, first).status == "succeeded"
    again = once.submit_sync("say", word="a")
    assert (again.id, again.status) == (first.id, "succeeded"), "also when it has ended"
    others = [
        app.calling(idempotency_key="weekly").submit_sync("say", word="a"),
        app.calling(idempotency_key="nightly", principal="ada").submit_sync("say", word="a"),
        once.submit_sync("tell", word="a"),
        app.submit_sync("say", word="a"),
    ]
    assert len({job.id for job in [first, *others]}) == 5, "of another caller, another pipeline, without one"


@pytest.mark.parametrize(
    "other", [{"queue": "slow"}, {"delay": 60}, {"timeout": 5}, {"expires": 60}, {"run_name": "n"}]
)
def test_a_key_that_came_with_something_else_is_refused(app: PipelineApp, other: Any) -> None:
    first = app.calling(idempotency_key="k").submit_sync("say", word="a")
    with pytest.raises(IdempotencyMismatchError):
        app.calling(idempotency_key="k").submit_sync("say", word="b")
    with pytest.raises(IdempotencyMismatchError):
        app.calling(idempotency_key="k", **other).submit_sync("say", word="a")
    assert [job.id for job in app.list_sync().jobs] == [first.id]


def test_a_key_stands_for_its_first_request_whichever_way_it_came(app: PipelineApp) -> None:
    app.calling(idempotency_key="k", principal="ada").submit_sync("say", word="a")
    with app.client_sync(principal="ada") as client:
        answer = client.post(
            "/pipelines/say/submit", json={"parameters": {"word": "a"}}, headers={"Idempotency-Key": '"k"'}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch"), "a body is something else"
        sent: dict[str, Any] = {"json": {"parameters": {"word": "a"}}, "headers": {"Idempotency-Key": '"other"'}}
        assert client.post("/pipelines/say/submit", **sent).status_code == 202
    with pytest.raises(IdempotencyMismatchError):
        app.calling(idempotency_key="other", principal="ada").submit_sync("say", word="a")


def test_a_retry_with_a_key_is_one_in_process_and_over_http(app: PipelineApp) -> None:
    failed = until_ended(app, app.calling(principal="ada").submit_sync("say", word="fail"))
    once = app.calling(idempotency_key="again", principal="ada")
    second = once.retry_sync(failed)
    assert (second.id != failed.id, once.retry_sync(failed).id) == (True, second.id)
    with app.client_sync(principal="ada") as client:
        answer = client.post(f"/jobs/{failed.id}/retry", headers={"Idempotency-Key": '"again"'})
    assert (answer.status_code, answer.json()["job_id"]) == (202, second.id)
    assert answer.headers["idempotency-replayed"] == "true"
    assert app.calling(principal="ada").retry_sync(failed).id != second.id


async def test_j1_a_hundred_of_the_teams_own_calls_with_one_key_are_one_job(app: PipelineApp) -> None:
    once = app.calling(idempotency_key="race")
    async with app.lifespan(None):
        jobs = await asyncio.gather(*(once.submit("say", word="a") for _ in range(100)))
        failed = await app.submit("say", word="fail")
        async with aclosing(app.events(failed)) as events:
            assert [event.kind async for event in events][-1] == "run_failed"
        retried = await asyncio.gather(*(once.retry(failed) for _ in range(100)))
    assert (len({job.id for job in jobs}), len({job.id for job in retried})) == (1, 1)


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\n"])
def test_keys_that_cannot_be(key: str) -> None:
    with pytest.raises(ConfigurationError, match="1 to 255 printable"):
        PipelineApp(say).calling(idempotency_key=key)


def test_a_run_takes_no_key() -> None:
    app = PipelineApp(say)
    with pytest.raises(ConfigurationError, match="idempotency_key are for jobs"):
        app.calling(idempotency_key="k").run_sync(word="a")
    app.lifecycle.close()


async def test_jobs_of_a_pipeline_that_is_gone_wait_until_it_is_back_and_are_not_retried(tmp_path: Path) -> None:
    def app(runner: Literal["auto", "external"] = "auto", **pipelines: Any) -> PipelineApp:
        kept = Local(f"sqlite:///{tmp_path / 'jobs.db'}", runner=runner)
        return PipelineApp(pipelines, jobs=kept, settings=Settings(cleanup_timeout=1))

    async with (before := app("external", say=say, tell=tell)).lifespan(None):
        left, ended = [await before.submit("say", word=word) for word in "ab"]
        await before.cancel(ended)
        other = await before.submit("tell")
    async with (after := app(tell=tell, said=say)).lifespan(None):
        assert (await after.jobs.until_ended(other.id, None)).status == "succeeded"
        assert (await after.get(left)).status == "queued"
        with pytest.raises(NotFoundError, match="the app has no pipeline 'say' any more"):
            await after.retry(ended)
    async with (again := app(say=say, tell=tell)).lifespan(None):
        assert (await again.jobs.until_ended(left.id, None)).outputs == {"output": "A"}


@pytest.mark.parametrize("values", [None, "values"])
async def test_what_was_asked_for_and_is_lost_is_not_retried(tmp_path: Path, values: str | None) -> None:
    kept, folder = f"sqlite:///{tmp_path / 'jobs.db'}", tmp_path / (values or "jobs.db-files/payloads")
    jobs = Local(kept, runner="external", values=None if values is None else folder.as_uri())
    async with (app := PipelineApp(say, jobs=jobs)).lifespan(None):
        job = await app.cancel(await app.submit(word="x" * 300_000))
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    async with (app := PipelineApp(say, jobs=jobs)).lifespan(None):
        with pytest.raises(ValueLostError, match="what was asked for"):
            await app.retry(job)
        assert [each.id for each in (await app.list()).jobs] == [job.id]


class Login(BaseModel):
    """What a job cannot keep: JSON would have stars in its place."""

    user: str
    password: SecretStr


class Area(BaseModel):
    """What is computed is no input."""

    model_config = ConfigDict(extra="forbid")

    side: int

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def size(self) -> int:
        """Of the square."""
        return self.side**2


@step
def describe(what: Any) -> str:
    return repr(what)


@pipeline
def logging_in(login: Login | None = None, secrets: list[SecretStr] | None = None) -> Any:
    return describe(login)


@pipeline
def measuring(area: Area) -> Any:
    return describe(area)


@pipeline
def describing(what: Any) -> Any:
    return describe(what)


@pytest.fixture
def writer() -> Iterator[PipelineApp]:
    app = PipelineApp({"logging_in": logging_in, "measuring": measuring, "describing": describing})
    yield app
    app.lifecycle.close()


def test_inputs_that_json_cannot_say_are_refused_when_the_job_is_submitted(writer: PipelineApp) -> None:
    for wrong in (object(), "\ud800"):
        with pytest.raises(InvalidInputsError, match="what JSON can say"):
            writer.submit_sync("describing", what=wrong)
    assert not writer.list_sync().jobs


def test_a_secret_is_not_written_down_as_stars(writer: PipelineApp) -> None:
    login, secrets = Login(user="ada", password=SecretStr("open")), [SecretStr(""), SecretStr("sesame")]
    with pytest.raises(InvalidInputsError, match=r"^login\.password: A secret is masked.*; secrets\.1: A secret"):
        writer.submit_sync("logging_in", login=login, secrets=secrets)
    with writer.client_sync() as http, pytest.raises(InvalidInputsError, match=r"^login\.password: A secret"):
        Client("", logging_in, http=http).submit(login=login)
    assert until_ended(writer, writer.submit_sync("logging_in", secrets=[SecretStr("")])).status == "succeeded"
    assert until_ended(writer, writer.submit_sync("describing", what="*" * 12)).outputs == {"output": repr("*" * 12)}


def test_what_is_computed_of_inputs_is_not_sent_with_them(writer: PipelineApp) -> None:
    job = until_ended(writer, writer.submit_sync("measuring", area=Area(side=3)))
    assert (job.status, job.outputs) == ("succeeded", {"output": "Area(side=3, size=9)"})
    with writer.client_sync() as http:
        assert Client("", measuring, http=http).invoke(area=Area(side=2)).value == "Area(side=2, size=4)"
