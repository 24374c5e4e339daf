"""Errors as problem documents and back: what is raised in a client is what was raised in the process."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipemount import errors
from pipemount.errors import PipemountError, base
from pipemount.errors.problems import from_problem, is_problem, members_of

KINDS = [getattr(errors, name) for name in errors.__all__]
SAID: list[PipemountError] = [
    errors.PipemountError("a fault"),
    errors.RequestError("no good"),
    errors.MalformedRequestError("not JSON"),
    errors.UnauthenticatedError("no key", challenges=["Bearer"]),
    errors.ForbiddenError(permission="invoke", principal="ci"),
    errors.CrossOriginError(origin="https://evil.example"),
    errors.CsrfFailedError(reason="no token", header="X-CSRFToken"),
    errors.NotFoundError("nothing there"),
    errors.MethodNotAllowedError(method="PUT", allowed=["GET"]),
    errors.NotAcceptableError("JSON only"),
    errors.RequestTimeoutError(timeout=2),
    errors.JobEndedError(job_status="succeeded"),
    errors.JobNotEndedError(job_status="running"),
    errors.JobNotSuspendedError(job_status="running"),
    errors.IdempotencyRunningError(job_id="j"),
    errors.IdempotencyMismatchError(),
    errors.EventsPrunedError(after=3, first_event=9),
    errors.LengthRequiredError("say how long"),
    errors.BodyTooLargeError(limit=10),
    errors.UnsupportedMediaTypeError("JSON only"),
    errors.HostNotAllowedError(host="evil.example"),
    errors.InvalidInputsError(errors=[{"loc": ["city"], "msg": "missing", "type": "missing"}]),
    errors.OverloadedError(retry_after=3),
    errors.OverloadedError(retry_after=3, full="key"),
    errors.RateLimitedError(quota=10, window=60, retry_after=2.5),
    errors.TooManyStreamsError(limit=7),
    errors.RunError("it broke", step="fetch", run_id="r"),
    errors.PipelineError("out of stock", status=409, code="no-stock"),
    errors.PipelineError("out of stock", status=503),
    errors.StepFailedError(step="fetch", cause=ValueError("secret")),
    errors.StepTimeoutError(step="fetch", timeout=2),
    errors.DynamicBodyError(operation="if", way_out="await it"),
    errors.BranchFailedError(condition="x > 1", answer=True),
    errors.InvalidOutputsError("NaN"),
    errors.DeadlineExceededError(timeout=2),
    errors.RunSuspendedError(step="ask", interrupts=[{"id": "1", "value": "sure?"}]),
    errors.RunCancelledError("its caller left"),
    errors.JobCancelledError(reason="enough"),
    errors.PipelineChangedError(pipeline="sum", fingerprint="f", current="g"),
    errors.JobExpiredError(expires=2.5),
    errors.WorkerLostError(crashes=3),
    errors.WorkerLostError(crashes=4, step="fetch"),
    errors.ExecutorError("cannot be sent", step="fetch"),
    errors.ExecutorUnavailableError(engine="dask", way_out="start it"),
    errors.UnavailableError("starting", retry_after=2, code="starting"),
    errors.UnsupportedError("not yet"),
    errors.StoreError("down"),
    errors.ValueLostError(name="a/inputs/b", why="it is not there"),
    errors.RemoteError("no answer"),
    errors.UnreachableError(url="http://x", reason="refused"),
    errors.NoAnswerError(url="http://x"),
    errors.ForeignAnswerError("a login page", status=403),
]


def test_every_error_that_a_caller_may_be_told_is_among_them() -> None:
    told = {kind for kind in KINDS if not issubclass(kind, errors.DefinitionError)}
    assert told - {type(error) for error in SAID} == set()


def there_and_back(error: PipemountError, **options: Any) -> PipemountError:
    return from_problem(json.loads(json.dumps(members_of(error), default=str)), **options)


@pytest.mark.parametrize("error", SAID, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_as_it_was(error: PipemountError) -> None:
    found = there_and_back(error)
    assert type(found) is type(error)
    assert (str(found), found.status) == (str(error), error.status)
    assert members_of(found) == members_of(error)
    assert error.problem is None
    assert found.problem is not None


def assigned(kind: type) -> Iterator[str]:
    """The attributes that the constructors of a class set."""
    for made in kind.__mro__:
        if issubclass(made, PipemountError) and "__init__" in vars(made):
            for node in ast.walk(ast.parse("if 1:\n" + inspect.getsource(made.__init__))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    yield node.attr


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_a_document_does_not_tell_is_none_and_never_missing(kind: type[PipemountError]) -> None:
    found = from_problem({"code": kind.code, "detail": "it broke"})
    assert type(found) is kind
    assert [name for name in assigned(kind) if not hasattr(found, name)] == []
    assert str(found) == "it broke"
    assert members_of(found)["code"] == kind.code


def test_the_data_of_a_run() -> None:
    error = errors.StepFailedError(step="fetch", cause=ValueError())
    error.run_id = "r-1"
    found = there_and_back(error)
    assert isinstance(found, errors.StepFailedError)
    assert (found.step, found.run_id) == ("fetch", "r-1")
    assert not found.cause


def test_authors_faults_are_not_told() -> None:
    document = members_of(errors.ConfigurationError("the password is 1234"))
    assert "1234" not in json.dumps(document)
    assert type(from_problem(document)) is errors.ConfigurationError


def test_a_code_of_the_authors_own_is_known_by_its_page() -> None:
    found = there_and_back(errors.PipelineError("out of stock", status=409, code="no-stock"))
    assert isinstance(found, errors.PipelineError)
    assert found.detail_code == "no-stock"


@pytest.mark.parametrize(
    ("status", "more", "kind"),
    [
        (400, {}, errors.RequestError),
        (401, {}, errors.UnauthenticatedError),
        (418, {}, errors.RequestError),
        (422, {}, errors.InvalidInputsError),
        (429, {}, errors.OverloadedError),
        (500, {}, PipemountError),
        (503, {}, errors.UnavailableError),
        (507, {}, PipemountError),
        (422, {"run_id": "r"}, errors.RunError),
        (499, {"run_id": "r"}, errors.RunCancelledError),
        (504, {"run_id": "r"}, errors.DeadlineExceededError),
    ],
)
def test_a_code_of_a_later_version_is_the_nearest_class_by_status(
    status: int, more: dict[str, Any], kind: type[PipemountError]
) -> None:
    found = from_problem({"code": "brand-new", "detail": "well", **more}, status=status)
    assert type(found) is kind
    assert (found.status, members_of(found)["code"]) == (status, "brand-new")


def test_a_class_of_somebody_elses_is_not_made_from_a_document() -> None:
    class OwnError(PipemountError):
        code = "own-of-a-test"

    assert type(from_problem({"code": OwnError.code, "detail": "x"}, status=500)) is PipemountError


@pytest.mark.parametrize("told", ["?", ["?", {"loc": [], "msg": "m", "type": "t"}], None])
def test_faults_that_are_none_are_left_out(told: Any) -> None:
    found = from_problem({"code": "invalid-inputs", "detail": "no", "errors": told})
    assert isinstance(found, errors.InvalidInputsError)
    assert all(fault["msg"] == "m" for fault in found.errors)


def test_when_to_come_back() -> None:
    found = there_and_back(errors.OverloadedError(retry_after=3), retry_after=7.0)
    assert isinstance(found, errors.OverloadedError)
    assert (found.retry_after, found.headers) == (7.0, {"retry-after": "7"})


@pytest.mark.parametrize(
    ("value", "ours"),
    [({"code": "a", "detail": "b"}, True), ({"code": "a"}, False), ({"detail": "Not Found"}, False), ([], False)],
)
def test_what_is_a_problem_document_of_ours(value: object, ours: bool) -> None:
    assert is_problem(value) is ours


def test_a_document_with_little_in_it() -> None:
    assert str(from_problem({"title": "Busy", "status": 503})) == "Busy"
    assert from_problem({"status": 7}).status == 500
    assert str(from_problem({}, status=502)) == "status 502"


def test_every_class_of_the_tree_is_exported() -> None:
    modules = Path(base.__file__).parent.glob("*.py")
    made = {
        node.name
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert made == set(errors.__all__)
