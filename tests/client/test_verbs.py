"""Each verb, driven by words: what is asked, what is asked again, and what comes of the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipemount import errors, pipeline, step
from pipemount.client.base import job_id_of
from pipemount.client.effects import Ask, Wait
from pipemount.client.records import Job, Result
from pipemount.client.verbs import GRACE, LEAVING, QUICK, Terms
from pipemount.errors import PipemountError

from .scripted import DROPPED, STREAM, URL, Script, answer, frame, headers, job, problem


@step
def when(day: datetime, more: int = 1) -> tuple[datetime, int]:
    return day, more


@pipeline
def dating(day: datetime, more: int = 1) -> Any:
    return when(day, more)


DAY = datetime(2026, 1, 2, tzinfo=UTC)
BUSY = problem(errors.OverloadedError(retry_after=2), retry_after="2")
METADATA = {"run_id": "r-1", "run_name": "a run"}
DONE = answer({"success": True, "outputs": {"output": 5}, "execution_time": 0.25, "metadata": METADATA, "error": None})
DATES = {"output_0": "2026-01-02T00:00:00Z", "output_1": 7}


# ------------------------------------------------------------------------------------------------ invoke


def test_invoke() -> None:
    script = Script(DONE)
    result = script.run(script.verbs().invoke((), {"city": "Oslo", "day": DAY}))
    assert result == Result({"output": 5}, {"output": 5}, "r-1", "a run", 0.25)
    [request] = script.asked
    assert (request.method, request.url, request.wait) == ("POST", f"{URL}/invoke", None)
    assert script.bodies() == [{"parameters": {"city": "Oslo", "day": "2026-01-02T00:00:00Z"}}]
    assert "idempotency-key" not in request.headers


def test_terms_are_a_part_of_the_request() -> None:
    terms = Terms(timeout=3, run_name="x", steps={"a": {"parameters": {"b": 1}}}, idempotency_key='k"\\')
    script = Script(DONE)
    script.run(script.verbs(None, terms).invoke((), {}))
    body = {"parameters": {}, "timeout": 3, "run_name": "x", "steps": {"a": {"parameters": {"b": 1}}}}
    assert script.bodies() == [body]
    assert headers(script.asked, "idempotency-key") == ['"k\\"\\\\"']
    assert script.asked[0].wait == 3 + GRACE


def test_what_a_server_refused_is_sent_again_after_the_time_that_it_asked_for() -> None:
    script = Script(BUSY, problem(errors.UnavailableError("starting")), DONE)
    script.run(script.verbs(None, first=1).invoke((), {}))
    assert script.waited == [2.5, 1.0]
    assert len({request.content for request in script.asked}) == 1


def test_attempts_end() -> None:
    script = Script(BUSY, BUSY, BUSY)
    with pytest.raises(errors.OverloadedError) as caught:
        script.run(script.verbs(None, attempts=2).invoke((), {}))
    assert caught.value.retry_after == 2
    assert len(script.asked) == 3


def test_all_attempts_together_have_the_callers_time() -> None:
    script = Script(BUSY, BUSY, takes=2)
    with pytest.raises(errors.OverloadedError):
        script.run(script.verbs(None, Terms(timeout=2), first=0).invoke((), {}))
    assert script.waited == [2.0]
    assert [request.wait for request in script.asked] == [2 + GRACE, 2 + GRACE - 4]


def test_an_attempt_that_has_no_time_left_is_none() -> None:
    script = Script()
    flow = script.verbs(None, Terms(timeout=1)).invoke((), {})
    assert isinstance(next(flow), Ask)
    assert isinstance(flow.send(problem(errors.OverloadedError(retry_after=0))), Wait)
    script.clock.now += 100  # the machine slept
    with pytest.raises(errors.NoAnswerError):
        flow.send(None)


def test_a_run_that_chose_a_status_of_refusals_is_not_sent_again() -> None:
    script = Script(problem(errors.PipelineError("none left", status=503)))
    with pytest.raises(errors.PipelineError, match="none left"):
        script.run(script.verbs().invoke((), {}))


def test_a_broken_connection_is_no_reason_to_run_twice() -> None:
    script = Script(DROPPED)
    with pytest.raises(errors.UnreachableError):
        script.run(script.verbs().invoke((), {}))


def test_with_an_idempotency_key_it_is() -> None:
    running = problem(errors.IdempotencyRunningError(job_id="j-1"), retry_after="1")
    script = Script(DROPPED, *[running] * 20, DONE)  # it got through: however long it takes, it is waited for
    assert script.run(script.verbs(None, Terms(idempotency_key="k"), attempts=1).invoke((), {})).run_id == "r-1"
    assert headers(script.asked, "idempotency-key") == ['"k"'] * 22
    assert script.waited[1:] == [1.05] * 20


def test_what_another_caller_sent_under_the_key_is_not_waited_for() -> None:
    script = Script(problem(errors.IdempotencyRunningError(job_id="j-1"), retry_after="1"))
    with pytest.raises(errors.IdempotencyRunningError) as caught:
        script.run(script.verbs(None, Terms(idempotency_key="k")).invoke((), {}))
    assert caught.value.job_id == "j-1"


@pytest.mark.parametrize("key", ["", "é", "a\nb", "x" * 256])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="printable ASCII"):
        Terms(idempotency_key=key)


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (problem(errors.DeadlineExceededError(timeout=1)), errors.DeadlineExceededError, "longer than its timeout"),
        (answer({"detail": "Not Found"}, 404), errors.ForeignAnswerError, "is the app mounted there?"),
        (answer([1]), errors.ForeignAnswerError, "answered application/json with status 200"),
        (
            answer({}, 308, location="https://b/invoke"),
            errors.ForeignAnswerError,
            "has moved to https://b/invoke; name",
        ),
        (answer({}, 304), errors.ForeignAnswerError, "status 304"),
    ],
)
def test_answers_that_are_errors(reply: Any, kind: type[PipemountError], message: str) -> None:
    script = Script(reply)
    with pytest.raises(kind, match=message) as caught:
        script.run(script.verbs().invoke((), {}))
    assert caught.value.status == reply.status


# ------------------------------------------------------------------------------------------------- typed


def test_inputs_are_validated_before_anything_is_sent() -> None:
    script = Script()
    with pytest.raises(errors.InvalidInputsError, match="day: "):
        script.run(script.verbs(dating).invoke((), {"day": "?"}))
    with pytest.raises(errors.InvalidInputsError, match="month"):
        script.run(script.verbs(dating).invoke((DAY,), {"month": 1}))
    assert script.asked == []


def test_outputs_are_values_of_the_declared_types() -> None:
    script = Script(answer({"outputs": DATES, "metadata": METADATA}))
    result = script.run(script.verbs(dating).invoke((DAY,), {}))
    assert result.value == (DAY, 7)
    assert result.outputs == {"output_0": DAY, "output_1": 7}
    assert script.bodies() == [{"parameters": {"day": "2026-01-02T00:00:00Z"}}]  # the defaults are the server's


def test_outputs_that_do_not_fit_say_what_to_do() -> None:
    script = Script(answer({"outputs": {"output_0": "?", "output_1": 1}, "metadata": METADATA}))
    with pytest.raises(errors.InvalidOutputsError, match=r"the run completed, but.*'dating'.*no pipeline") as caught:
        script.run(script.verbs(dating).invoke((DAY,), {}))
    assert caught.value.run_id == "r-1"


@pytest.mark.parametrize(
    ("args", "inputs", "message"),
    [
        ((DAY, 1, 2), {}, "2: Unexpected positional"),
        ((DAY,), {"day": DAY}, "day: Got multiple values"),
    ],
)
def test_positions(args: tuple[Any, ...], inputs: dict[str, Any], message: str) -> None:
    script = Script()
    with pytest.raises(errors.InvalidInputsError, match=message):
        script.run(script.verbs(dating).invoke(args, inputs))


@pytest.mark.parametrize(
    ("args", "inputs", "message"),
    [
        ((1,), {}, "0: Name the inputs"),
        ((), {"x": float("nan")}, "cannot be sent as JSON"),
        ((), {"x": object()}, "cannot be sent as JSON"),
    ],
)
def test_without_the_pipeline_what_no_json_can_say_is_not_sent(
    args: tuple[Any, ...], inputs: dict[str, Any], message: str
) -> None:
    script = Script()
    with pytest.raises(errors.InvalidInputsError, match=message):
        script.run(script.verbs().invoke(args, inputs))


# -------------------------------------------------------------------------------------------------- jobs


def test_submit_has_a_key_so_that_asking_twice_makes_one_job() -> None:
    script = Script(DROPPED, BUSY, answer(job("queued"), 202))
    found = script.run(script.verbs().submit((), {"n": 1}))
    assert (found.id, found.status, found.ended) == ("j-1", "queued", False)
    keys = headers(script.asked, "idempotency-key")
    assert keys[0]
    assert len(set(keys)) == 1
    assert [request.wait for request in script.asked] == [QUICK] * 3


def test_submissions_have_keys_of_their_own() -> None:
    script = Script(answer(job(), 202), answer(job(), 202), answer(job(), 202))
    verbs = script.verbs()
    script.run_all(
        verbs.submit((), {}), verbs.submit((), {}), script.verbs(None, Terms(idempotency_key="k")).submit((), {})
    )
    keys = headers(script.asked, "idempotency-key")
    assert len(set(keys)) == 3
    assert keys[-1] == '"k"'


def test_a_record() -> None:
    told = job(
        "succeeded", pipeline="w", created_at="1970-01-01T00:00:00Z", started_at="1970-01-01T00:00:01Z", finished_at="?"
    )
    script = Script(answer(told))
    found = script.run(script.verbs().job("j-1"))
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    assert found == Job("j-1", "succeeded", "w", begin, begin.replace(second=1), None)
    assert found.ended
    assert found.document == told
    assert script.asked[0][:2] == ("GET", f"{URL}/jobs/j-1")


@pytest.mark.parametrize(
    "told", [{}, {"job_id": "j"}, {"job_id": 1, "status": "queued"}, {"job_id": "j", "status": "?"}]
)
def test_an_answer_that_tells_of_no_job(told: Any) -> None:
    script = Script(answer(told))
    with pytest.raises(errors.ForeignAnswerError, match="no job"):
        script.run(script.verbs().job("j-1"))


def test_jobs_come_page_by_page() -> None:
    pages = [
        answer({"jobs": [job()] * 2, "next_cursor": "c&1"}),
        answer({"jobs": [], "next_cursor": "2"}),
        answer({"jobs": [job()]}),
    ]
    script = Script(*pages)
    script.run(script.verbs().jobs(("queued", "running"), 2))
    assert len(script.given) == 3
    asked = f"{URL}/jobs?status=queued&status=running&limit=2"
    assert [request.url for request in script.asked] == [asked, f"{asked}&cursor=c%261", f"{asked}&cursor=2"]


def test_pages_that_nobody_needs_are_not_asked_for() -> None:
    script = Script(answer({"jobs": [job()] * 2, "next_cursor": "1"}))
    with pytest.raises(KeyboardInterrupt):
        script.run(script.verbs().jobs((), 2), leave_after=1)
    assert len(script.asked) == 1


def test_a_retry_whose_answer_was_lost_is_asked_for_again_under_one_key() -> None:
    script = Script(DROPPED, answer(job("queued"), 202), answer(job("queued"), 202))
    found = script.run_all(script.verbs().retry("j-1"), script.verbs(None, Terms(idempotency_key="k")).retry("j-1"))
    assert [each.status for each in found] == ["queued", "queued"]
    assert [request[:2] for request in script.asked] == [("POST", f"{URL}/jobs/j-1/retry")] * 3
    first, second, own = headers(script.asked, "idempotency-key")
    assert (first, own) == (second, '"k"')


def test_an_answer_is_given_once() -> None:
    script = Script(DROPPED)
    with pytest.raises(errors.RemoteError):
        script.run(script.verbs().resume("j-1", "yes"))
    [asked] = script.asked
    assert (asked[:2], asked.content) == (("POST", f"{URL}/jobs/j-1/resume"), b'"yes"')
    assert asked.headers["content-type"] == "application/json"


def test_cancel_and_delete() -> None:
    script = Script(DROPPED, answer(job("cancelling")), answer(None, 204))
    verbs = script.verbs()
    assert script.run_all(verbs.cancel("j-1"), verbs.delete("j-1"))[0].status == "cancelling"
    assert [request[:2] for request in script.asked[1:]] == [
        ("POST", f"{URL}/jobs/j-1/cancel"),
        ("DELETE", f"{URL}/jobs/j-1"),
    ]


def test_what_the_server_tells_of_itself() -> None:
    script = Script(answer({"name": "w"}), answer({"up": True}))
    verbs = script.verbs()
    assert script.run_all(verbs.info(), verbs.status()) == [{"name": "w"}, {"up": True}]
    assert [request.url for request in script.asked] == [f"{URL}/info", f"{URL}/status"]


# ------------------------------------------------------------------------------------------------- result

SUCCEEDED = job("succeeded", outputs={"output": 5}, execution_time=0.5, run_name="n")


def test_the_result_of_a_job_that_has_ended() -> None:
    script = Script(answer(SUCCEEDED))
    assert script.run(script.verbs().result("j-1")) == Result({"output": 5}, {"output": 5}, "j-1", "n", 0.5)


def test_a_result_is_waited_for_where_the_job_is() -> None:
    script = Script(
        answer(job("running", last_event=7)), STREAM, frame(8), frame(9, "run_completed"), answer(SUCCEEDED)
    )
    assert script.run(script.verbs().result("j-1")).value == {"output": 5}
    assert headers(script.asked, "last-event-id") == [None, "7", None]
    assert script.given == []


def test_a_job_that_tells_more_than_is_kept_is_asked_for_again() -> None:
    gone = answer({"code": "events-pruned", "detail": "gone"}, 410)
    script = Script(answer(job(last_event=7)), gone, answer(job(last_event=900)), gone, answer(SUCCEEDED))
    script.run(script.verbs().result("j-1"))
    assert headers(script.asked, "last-event-id") == [None, "7", None, "900", None]


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        (
            job(
                "failed",
                error={"code": "no-stock", "type": "x/errors/pipeline-error", "detail": "none left", "status": 409},
            ),
            errors.PipelineError,
            "none left",
        ),
        (job("failed"), errors.RunError, "the job failed"),
        (
            job("cancelled", error={"code": "unavailable", "detail": "shut down", "status": 503}),
            errors.UnavailableError,
            "shut down",
        ),
        (job("cancelled"), errors.RunCancelledError, "the job cancelled"),
    ],
)
def test_a_result_that_is_an_error(told: Any, kind: type[PipemountError], message: str) -> None:
    script = Script(answer(told))
    with pytest.raises(kind, match=message) as caught:
        script.run(script.verbs().result("j-1"))
    assert caught.value.problem


def test_such_a_job_is_not_asked_for_for_ever() -> None:
    gone = problem(errors.EventsPrunedError(after=7, first_event=9))
    script = Script(answer(job(last_event=7)), gone, answer(job(last_event=9)), gone)
    with pytest.raises(errors.EventsPrunedError):
        script.run(script.verbs(None, attempts=1).result("j-1"))


def test_a_job_that_is_gone() -> None:
    script = Script(problem(errors.NotFoundError("no such job")))
    with pytest.raises(errors.NotFoundError):
        script.run(script.verbs().result("j-1"))


# ------------------------------------------------------------------------------------------------- stream

SUBMITTED = answer(job("queued"), 202)
LAST = frame(3, "run_completed", outputs=DATES)


def test_a_stream_is_a_job_that_is_followed() -> None:
    script = Script(SUBMITTED, STREAM, b"retry: 500\n\n", frame(1, "run_started"), frame(2), LAST)
    script.run(script.verbs(dating).stream((DAY,), {}))
    assert script.sequences() == [1, 2, 3]
    assert script.given[-1].data["outputs"] == {"output_0": DAY, "output_1": 7}
    assert [request[:2] for request in script.asked] == [("POST", f"{URL}/submit"), ("GET", f"{URL}/jobs/j-1/events")]


def test_what_a_run_failed_with_is_raised_after_its_last_event() -> None:
    failed = frame(1, "run_failed", error="none left", code="no-stock", step="pick")
    told = {"code": "no-stock", "type": "x/errors/pipeline-error", "detail": "none left", "status": 409, "step": "pick"}
    script = Script(SUBMITTED, STREAM, failed, answer(job("failed", error=told)))
    with pytest.raises(errors.PipelineError, match="none left") as caught:
        script.run(script.verbs().stream((), {}))
    assert script.sequences() == [1]
    assert (caught.value.status, caught.value.step) == (409, "pick")


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (frame(1, "run_failed", error="broke", code="step-failed", step="a"), errors.StepFailedError),
        (frame(1, "run_cancelled", error="broke"), errors.RunCancelledError),
    ],
)
def test_without_its_record_the_event_tells_why(last: bytes, kind: type[errors.RunError]) -> None:
    script = Script(SUBMITTED, STREAM, last, problem(errors.NotFoundError("trimmed")))
    with pytest.raises(kind, match="broke") as caught:
        script.run(script.verbs().stream((), {}))
    assert caught.value.run_id == "j-1"


def test_who_leaves_early_cancels_the_run() -> None:
    script = Script(SUBMITTED, STREAM, frame(1), frame(2), answer(job("cancelling")))
    with pytest.raises(KeyboardInterrupt):
        script.run(script.verbs().stream((), {}), leave_after=2)
    assert script.asked[-1][:2] == ("POST", f"{URL}/jobs/j-1/cancel")
    assert script.asked[-1].wait == LEAVING


def test_leaving_is_told_once_and_whatever_comes_of_it() -> None:
    script = Script(SUBMITTED, STREAM, frame(1), DROPPED)
    with pytest.raises(KeyboardInterrupt):
        script.run(script.verbs().stream((), {}), leave_after=1)


def test_outputs_of_a_stream_that_do_not_fit() -> None:
    script = Script(SUBMITTED, STREAM, frame(1, "run_completed", outputs={}), problem(errors.StoreError("x")))
    with pytest.raises(errors.InvalidOutputsError):
        script.run(script.verbs(dating).stream((DAY,), {}))


# -------------------------------------------------------------------------------------------------- batch


def test_a_batch_has_an_error_in_the_place_of_each_run_that_failed() -> None:
    one = {"outputs": {"output": 1}, "metadata": METADATA}
    failed = {"code": "step-failed", "detail": "it broke", "run_id": "r-2", "status": 500}
    script = Script(answer([one, failed]))
    good, bad = script.run(script.verbs(None, Terms(timeout=2)).batch([{"n": 1}, {"n": 2}]))
    assert good.value == {"output": 1}
    assert isinstance(bad, errors.StepFailedError)
    assert bad.run_id == "r-2"
    assert script.bodies() == [[{"n": 1}, {"n": 2}]]
    assert script.asked[0].url == f"{URL}/batch?timeout=2"


def test_a_batch_of_values_has_them_one_by_one() -> None:
    results = [{"outputs": DATES, "metadata": METADATA}, {"outputs": {"output_0": "?"}, "metadata": METADATA}]
    script = Script(answer(results))
    none, good, bad = script.run(script.verbs(dating).batch([{"day": "?"}, {"day": DAY}, {"day": DAY}]))
    assert isinstance(none, errors.InvalidInputsError)
    assert good.value == (DAY, 7)
    assert isinstance(bad, errors.InvalidOutputsError)
    assert len(script.bodies()[0]) == 2  # what cannot be valid is not sent


def test_a_batch_without_anything_to_send_is_not_sent() -> None:
    script = Script()
    assert script.run(script.verbs().batch([])) == []


@pytest.mark.parametrize(("told", "message"), [({}, "is the app mounted there"), ([{}], "1 results for 2 inputs")])
def test_an_answer_that_is_none_of_a_batch(told: Any, message: str) -> None:
    script = Script(answer(told))
    with pytest.raises(errors.ForeignAnswerError, match=message):
        script.run(script.verbs().batch([{}, {}]))


@pytest.mark.parametrize("terms", [Terms(run_name="x"), Terms(steps={"a": {}}), Terms(expires=1.0)])
def test_terms_that_a_batch_does_not_take(terms: Terms) -> None:
    script = Script()
    with pytest.raises(errors.ConfigurationError, match="no run_name, no steps, and does not expire"):
        script.run(script.verbs(None, terms).batch([{}]))


def test_the_pipelines_of_an_app() -> None:
    script = Script(answer({"pipelines": [{"name": "w"}, "?"]}), answer({}))
    verbs = script.verbs()
    assert script.run_all(verbs.pipelines(), verbs.pipelines()) == [[{"name": "w"}], []]


@pytest.mark.parametrize("wrong", [None, 5, b"5", []])
def test_what_is_neither_a_job_nor_its_id(wrong: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="is no job: give what submit returned, or its id"):
        job_id_of(wrong)


@pytest.mark.parametrize("wrong", ["", ".", ".."])
def test_an_id_that_would_lead_elsewhere_is_that_of_no_job(wrong: str) -> None:
    with pytest.raises(errors.NotFoundError, match="no such job"):
        job_id_of(wrong)


def test_what_cannot_be_sent_is_told_before_anything_is() -> None:
    script = Script()
    wrong: Any = "3"
    for flow, kind, message in (
        (script.verbs().resume("j", object()), errors.InvalidInputsError, "JSON cannot say the answer"),
        (script.verbs(None, Terms(run_name="\ud800")).submit((), {}), errors.InvalidInputsError, "what it is called"),
        (script.verbs().events("j", wrong), errors.ConfigurationError, "after='3': give the sequence"),
    ):
        with pytest.raises(kind, match=message):
            script.run(flow)
    assert script.asked == []
    assert job_id_of("a \ud800") == "a ?"
