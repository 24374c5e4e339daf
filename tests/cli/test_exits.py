"""Exit codes and the sentences that go with them."""

from __future__ import annotations

from typing import Any

import pytest

from pipemount import errors
from pipemount.cli.exits import CommandError, ExitCode, exit_code, explain, from_exception
from pipemount.errors.problems import from_problem


def caught(error: Exception) -> Exception:
    """``error`` with the traceback of having been raised here."""
    try:
        raise error
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CompileError(operation="a", reason="b", way_out="c"), ExitCode.FAILED),
        (errors.ConfigurationError("no"), ExitCode.FAILED),
        (errors.PipelineError("no", status=503), ExitCode.FAILED),
        (errors.StepFailedError(step="a", cause=ValueError()), ExitCode.FAILED),
        (errors.InvalidInputsError(errors=[]), ExitCode.INPUTS),
        (errors.UnauthenticatedError("no", challenges=()), ExitCode.FORBIDDEN),
        (errors.ForbiddenError(permission="invoke", principal="ci"), ExitCode.FORBIDDEN),
        (errors.UnavailableError("starting"), ExitCode.UNAVAILABLE),
        (errors.OverloadedError(retry_after=1), ExitCode.UNAVAILABLE),
        (errors.StoreError("down"), ExitCode.UNAVAILABLE),
        (errors.UnreachableError(url="u", reason="refused"), ExitCode.UNAVAILABLE),
        (errors.ForeignAnswerError("a page", status=500), ExitCode.UNAVAILABLE),
        (errors.NoAnswerError(url="u"), ExitCode.TIMEOUT),
        (errors.DeadlineExceededError(timeout=1), ExitCode.TIMEOUT),
        (errors.StepTimeoutError(step="a", timeout=1), ExitCode.TIMEOUT),
        (CommandError("what?"), ExitCode.USAGE),
        (CommandError("gone", exit=ExitCode.UNAVAILABLE), ExitCode.UNAVAILABLE),
    ],
)
def test_every_kind_of_error_has_its_code(error: errors.PipemountError, code: ExitCode) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (400, {}, ExitCode.INPUTS),
        (422, {"run_id": None}, ExitCode.INPUTS),
        (401, {}, ExitCode.FORBIDDEN),
        (403, {}, ExitCode.FORBIDDEN),
        (404, {}, ExitCode.UNAVAILABLE),
        (410, {}, ExitCode.UNAVAILABLE),
        (429, {}, ExitCode.UNAVAILABLE),
        (503, {}, ExitCode.UNAVAILABLE),
        (504, {"run_id": "r"}, ExitCode.TIMEOUT),
        (500, {"run_id": "r"}, ExitCode.FAILED),
        (500, {}, ExitCode.FAILED),
        (422, {"run_id": "r"}, ExitCode.FAILED),
    ],
)
def test_every_status_has_its_code(status: int, document: dict[str, Any], code: ExitCode) -> None:
    assert exit_code(from_problem(document, status=status)) == code


def test_a_compile_error_names_place_and_way_out() -> None:
    error = errors.CompileError(operation="len(items)", reason="not known", way_out="Use a step", file="a.py", line=3)
    assert list(explain(error)) == [
        "a.py:3: len(items): not known",
        "  way out: Use a step",
        f"  see {error.docs_url}",
    ]
    bare = errors.CompileError(operation="len(items)", reason="not known", way_out="Use a step")
    assert next(explain(bare)) == "len(items): not known"


def test_invalid_inputs_are_listed_one_per_line() -> None:
    faults = [{"loc": ("city",), "msg": "missing", "type": "t"}, {"loc": (), "msg": "odd", "type": "t"}]
    assert list(explain(errors.InvalidInputsError(errors=faults))) == [
        "the inputs do not fit the pipeline:",
        "  city: missing",
        "  inputs: odd",
    ]


def test_a_failed_step_shows_its_cause_and_the_line() -> None:
    [line] = explain(errors.StepFailedError(step="fetch", cause=caught(OSError("gone"))))
    assert line.startswith("step 'fetch' raised OSError: gone (")
    assert "test_exits.py:" in line


def test_an_exception_of_the_authors_code_is_told_on_one_line() -> None:
    syntax = from_exception("importing 'shop'", caught(SyntaxError("bad", ("shop.py", 3, 1, "x x"))))
    assert "SyntaxError: bad (shop.py, line 3);" in str(syntax)
    bare = from_exception("on_init", ValueError("no"))
    assert str(bare) == "on_init raised ValueError: no; --traceback shows all of it"
    assert bare.exit == ExitCode.FAILED


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        ({"title": "Busy", "detail": "come back"}, ["Busy (500): come back"]),
        ({"title": "Busy"}, ["Busy (500): Busy"]),
        ({}, ["Internal Server Error (500): status 500"]),
        (
            {"title": "Step failed", "detail": "it broke", "step": "fetch", "run_id": "r-1", "errors": "?"},
            ["Step failed (500): it broke", "  step: fetch", "  run_id: r-1"],
        ),
        (
            {"title": "Invalid", "errors": [{"loc": ["a", 0], "msg": "no"}, "?"]},
            ["Invalid (500):", "  a.0: no"],
        ),
    ],
)
def test_a_problem_document_is_told_in_lines(document: dict[str, Any], lines: list[str]) -> None:
    assert list(explain(from_problem(document, status=500))) == lines


def test_other_errors_speak_for_themselves() -> None:
    assert list(explain(CommandError("no such thing"))) == ["no such thing"]
