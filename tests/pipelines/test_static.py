"""``Static[T]``: the body sees the value, and there is a snapshot per value."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, Flag
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field
from tests.support.asgi import get, post

import pipemount
from pipemount import PipelineApp, Static, pipeline, step, unmapped
from pipemount.adapters import static as keeping
from pipemount.adapters.static import StaticPipeline
from pipemount.errors import CompileError, InvalidInputsError
from pipemount.inprocess import Pipeline, run_compiled
from pipemount.pipelines.authoring import PipelineDefinition
from pipemount.pipelines.marks import STATIC
from pipemount.pipelines.snapshot import Constant
from pipemount.pipelines.static import MAX_EAGER, static_key
from pipemount.runtime.call import Call
from pipemount.runtime.threads import ThreadPool


class Style(Enum):
    LOUD = "loud"
    SOFT = "soft"


class Access(Flag):
    READ = 1
    WRITE = 2


class Plan(BaseModel):
    rounds: int = 1


THREE = Plan(rounds=3)


@step(thread=False)
def shout(text: str) -> str:
    return text.upper()


@step(thread=False)
def whisper(text: str, times: int = 1) -> str:
    return text.lower() * times


@step(thread=False)
def more(number: int, by: int = 1) -> int:
    return number + by


@step(thread=False)
def join(texts: list[str]) -> str:
    return " ".join(texts)


@pipeline
def speak(text: str, style: Static[Style] = Style.LOUD, sure: Static[bool] = False):  # type: ignore[no-untyped-def]
    said = {"said": shout(text) if style is Style.LOUD else whisper(text)}
    if sure:
        said["again"] = whisper(text, id="again")
    return said


@pipeline
def climb(number: int = 0, rounds: Annotated[Static[int], Field(ge=0, le=50)] = 2):  # type: ignore[no-untyped-def]
    for _ in range(rounds):
        number = more(number)
    return number


def refusal(body: Callable[..., Any]) -> CompileError:
    with pytest.raises(CompileError) as caught:
        PipelineDefinition(body).compile()
    assert caught.value.file == __file__
    return caught.value


# ------------------------------------------------------------------------------------ at compile


def test_values_that_can_be_counted_are_compiled_in_advance() -> None:
    statics = speak.statics
    assert statics is not None
    assert statics.complete
    assert len(statics.eager) == 4
    assert [parameter.name for parameter in statics.parameters] == ["style", "sure"]


def test_what_is_drawn_is_the_default_and_what_is_told_is_all() -> None:
    snapshot = speak.compile()
    assert [node.id for node in snapshot.nodes] == ["shout"]
    schema = snapshot.output.json_schema()
    assert list(schema["properties"]) == ["said", "again"]
    assert schema["required"] == ["said"]
    assert set(snapshot.input.json_schema()["properties"]) == {"text", "style", "sure"}
    assert set(snapshot.overrides.json_schema()["properties"]) == {"whisper", "again"}


def test_the_fingerprint_covers_all_values() -> None:
    def one(text: str, sure: Static[bool] = False):  # type: ignore[no-untyped-def]
        return whisper(text, 2) if sure else shout(text)

    def other(text: str, sure: Static[bool] = False):  # type: ignore[no-untyped-def]
        return whisper(text, 3) if sure else shout(text)

    prints = [PipelineDefinition(body, name="same").compile().fingerprint for body in (one, other, one)]
    assert prints[0] == prints[2] != prints[1]


def test_outputs_of_different_types_are_a_union() -> None:
    def body(text: str, number: Static[Literal["yes", None]] = None):  # type: ignore[no-untyped-def]
        return {"found": more(1) if number else shout(text)}

    statics = PipelineDefinition(body).statics
    assert statics is not None
    assert statics.results[0].annotation == str | int
    found = statics.drawn.output.json_schema()["properties"]["found"]["anyOf"]
    assert {kind["type"] for kind in found} == {"string", "integer"}


def test_without_a_default_the_first_value_is_drawn() -> None:
    def body(text: str, style: Static[Style]):  # type: ignore[no-untyped-def]
        return shout(text) if style is Style.LOUD else whisper(text)

    assert [node.id for node in PipelineDefinition(body).compile().nodes] == ["shout"]


def test_constraints_take_values_away() -> None:
    def not_soft(style: Style) -> Style:
        if style is Style.SOFT:
            raise ValueError("too soft")
        return style

    def body(text: str, style: Annotated[Static[Style], AfterValidator(not_soft)]):  # type: ignore[no-untyped-def]
        return shout(text)

    statics = PipelineDefinition(body).statics
    assert statics is not None
    assert len(statics.eager) == 1


def test_a_static_value_is_what_the_body_sees() -> None:
    seen: list[Any] = []

    def body(text: str, plan: Static[Plan] = THREE, maybe: Static[int] | None = None):  # type: ignore[no-untyped-def]
        seen.append((plan, maybe))
        return join([shout(f"{plan.rounds}")])

    snapshot = PipelineDefinition(body).compile()
    assert seen[0] == (Plan(rounds=3), None)
    assert snapshot.nodes[0].bindings[0].source == Constant("3")


@pytest.mark.parametrize("kind", [int, str, list[str], Plan, Access, Literal["a"] | int])
def test_what_cannot_be_counted_needs_a_default(kind: Any) -> None:
    def body(text: str, value):  # type: ignore[no-untyped-def]
        return shout(text)

    body.__annotations__["value"] = Annotated[kind, STATIC]
    error = refusal(body)
    assert error.detail_code == "static-without-default"
    assert "Give it a default, or a type whose values can be counted" in str(error)


def test_so_does_what_has_too_many_values() -> None:
    many = Enum("many", [f"value_{index}" for index in range(MAX_EAGER + 1)])  # type: ignore[misc]  # made for this

    def body(text: str, value):  # type: ignore[no-untyped-def]
        return shout(text)

    body.__annotations__["value"] = Annotated[many, STATIC]
    assert f"{MAX_EAGER + 1} combinations" in str(refusal(body))
    body.__defaults__ = (next(iter(many)),)
    statics = PipelineDefinition(body).statics
    assert statics is not None
    assert (len(statics.eager), statics.complete) == (1, False)


def test_an_error_tells_for_which_value() -> None:
    def body(text: str, sure: Static[bool] = False):  # type: ignore[no-untyped-def]
        return shout(f"{text}") if sure else shout(text)

    error = refusal(body)
    assert error.detail_code == "text-of-reference"
    assert "(where sure=True)" in str(error)


def test_keys_tell_types_apart() -> None:
    values = [1, True, 1.0, "1", None, Style.LOUD, "loud", Plan(), [1], {"rounds": 1}]
    assert len({static_key([value]) for value in values}) == len(values)
    assert static_key([Plan()]) == static_key([Plan(rounds=1)])


def test_with_options_makes_its_own_snapshots() -> None:
    other = speak.with_options(name="other")
    assert other.compile().name == "other"
    assert other.statics is not speak.statics


def test_a_step_has_no_static_parameters() -> None:
    @step
    def wrong(times: Static[int] = 1) -> int:
        return times

    error = refusal(lambda text: wrong())
    assert error.detail_code == "static-on-step"


# ---------------------------------------------------------------------------- in other pipelines


def test_an_inlined_pipeline_is_handed_constants() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        return speak(text, style="soft")["said"], climb(rounds=3), climb()

    ids = [node.id for node in PipelineDefinition(body).compile().nodes]
    assert sorted(ids) == sorted(
        ["speak/whisper", *(f"climb/more{n}" for n in ("", "_2", "_3")), "climb_2/more", "climb_2/more_2"]
    )


def test_a_static_value_may_be_passed_on() -> None:
    def body(number: int, rounds: Static[int] = 4):  # type: ignore[no-untyped-def]
        return climb(number, rounds)

    assert len(PipelineDefinition(body).compile().nodes) == 4


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda text, number: climb(1, number), "static-by-reference"),
        (lambda text, number: climb(1, more(number)), "static-by-reference"),
        (lambda text, number: climb(1, "many"), "bad-constant"),
        (lambda text, number: climb(1, 51), "bad-constant"),
        (lambda text, number: climb.map([1], unmapped(number)), "static-by-reference"),
        (lambda text, number: climb.map([1, 2], [2, 3]), "static-by-reference"),
        (lambda text, number: climb.map([1, 2], unmapped("many")), "bad-constant"),
    ],
)
def test_a_value_of_the_run_cannot_be_static(call: Callable[..., Any], code: str) -> None:
    def body(text: str, number: int):  # type: ignore[no-untyped-def]
        return call(text, number)

    assert refusal(body).detail_code == code


def test_a_mapped_pipeline_is_compiled_per_value() -> None:
    def body(numbers: list[int]):  # type: ignore[no-untyped-def]
        return (
            climb.map(numbers),
            climb.map(numbers, rounds=unmapped(1)),
            climb.map(numbers, unmapped(1)),
            climb.map(numbers, unmapped(3)),
        )

    bodies = [node.body for node in PipelineDefinition(body).compile().nodes]
    assert [len(found.nodes) for found in bodies if found] == [2, 1, 1, 3]
    assert bodies[1] is bodies[2]


# ------------------------------------------------------------------------------------- in a run


def test_in_process_each_value_runs_its_own_snapshot() -> None:
    assert speak("Hey") == {"said": "HEY"}
    assert speak("Hey", style="soft", sure=True) == {"said": "hey", "again": "hey"}
    assert climb() == 2
    assert [climb(rounds=rounds) for rounds in (1, 7, 2)] == [1, 7, 2]


def test_the_form_of_the_return_is_that_of_the_value() -> None:
    @pipeline
    def shaped(text: str, many: Static[bool] = False, more: Static[int] = 1):  # type: ignore[no-untyped-def]
        return {"output": shout(text)} if many else shout(text)

    assert shaped("a") == "A"
    assert shaped("a", many=True) == {"output": "A"}
    assert shaped("a", many=True, more=2) == {"output": "A"}


async def test_in_process_a_value_that_cannot_be_compiled_is_an_input_error() -> None:
    with pytest.raises(InvalidInputsError) as caught:
        await climb.run(rounds=0)
    assert caught.value.errors[0]["loc"] == ["rounds"]


async def test_an_app_makes_snapshots_on_demand_once() -> None:
    compilations: list[int] = []

    @pipeline
    def counted(number: int = 0, rounds: Static[int] = 1):  # type: ignore[no-untyped-def]
        compilations.append(rounds)
        for _ in range(rounds):
            number = more(number)
        return number

    app = PipelineApp(counted)
    before = compilations.count(5)
    assert before == 0
    async with app.lifespan(None):
        answers = await asyncio.gather(*(post(app, "/invoke", {"parameters": {"rounds": 5}}) for _ in range(5)))
        traced = compilations.count(5)
        again = await post(app, "/invoke", {"parameters": {"rounds": 5, "number": 1}})
    assert [answer.json()["outputs"] for answer in answers] == [{"output": 5}] * 5
    assert again.json()["outputs"] == {"output": 6}
    assert 0 < traced == compilations.count(5)


async def test_a_value_that_cannot_be_compiled_is_answered_422(caplog: pytest.LogCaptureFixture) -> None:
    app = PipelineApp(climb)
    async with app.lifespan(None):
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                answer = await post(app, "/invoke", {"parameters": {"rounds": 0}})
                assert answer.status == 422
                assert answer.json()["errors"][0]["loc"] == ["parameters", "rounds"]
                assert answer.json()["code"] == "invalid-inputs"
        assert (await post(app, "/invoke", {"parameters": {"rounds": 51}})).status == 422
        assert (await post(app, "/invoke", {"parameters": {"rounds": 3}})).status == 200
    assert len([record for record in caplog.records if "calls no step" in record.getMessage()]) == 1


async def test_so_is_one_that_gives_other_outputs_than_promised() -> None:
    @pipeline
    def changing(text: str, extra: Static[int] = 0):  # type: ignore[no-untyped-def]
        if extra == 3:
            return {"other": shout(text)}
        found = {"text": more(1, id="number") if extra == 2 else shout(text)}
        return found | ({"more": shout(text, id="more")} if extra == 1 else {})

    app = PipelineApp(changing)
    async with app.lifespan(None):
        found = [await post(app, "/invoke", {"parameters": {"text": "a", "extra": extra}}) for extra in range(5)]
    assert [answer.status for answer in found] == [200, 422, 422, 422, 200]


async def test_no_more_than_a_bound_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MAX_KEPT", 2)
    compiled = pipemount.compile(climb)
    assert isinstance(compiled, StaticPipeline)
    threads = ThreadPool(2, "test")
    await compiled.start({"threads": threads})
    kept = []
    for rounds in (3, 4, 3, 5, 2, 3):
        call = Call(compiled.input.validate({"rounds": rounds}), "id")
        assert await compiled.run(call) == {"output": rounds}
        kept.append([rounds for rounds in range(9) if compiled.snapshots.key({"rounds": rounds}) in compiled._kept])
    await compiled.stop(None)
    threads.close()
    assert kept == [[3], [3, 4], [3, 4], [3, 5], [3, 5], [3, 5]]


async def test_info_and_the_document_tell_what_holds_for_every_value() -> None:
    app = PipelineApp({"speak": speak, "climb": climb})
    async with app.lifespan(None):
        info = (await get(app, "/pipelines/speak/info")).json()
        other = (await get(app, "/pipelines/climb/info")).json()
        document = (await get(app, "/openapi.json")).json()
        answers = [
            (await post(app, "/pipelines/speak/invoke", {"parameters": {"text": "Hey", **given}})).json()["outputs"]
            for given in ({}, {"style": "soft"}, {"sure": True})
        ]
    assert answers == [{"said": "HEY"}, {"said": "hey"}, {"said": "HEY", "again": "hey"}]
    assert info["output_schema"]["required"] == ["said"]
    assert info["graph"]["fidelity"] == "superset"
    assert {node["id"] for node in info["graph"]["nodes"]} == {"shout", "whisper", "again"}
    assert {edge["conditional"] for edge in info["graph"]["edges"]} == {True}
    assert info["fingerprint"] == speak.compile().fingerprint
    assert other["graph"]["fidelity"] == "opaque"
    assert len(other["graph"]["nodes"]) == 2
    schemas = str(document["components"]["schemas"])
    assert "'again'" in schemas
    assert "'loud'" in schemas


async def test_where_all_values_give_one_graph_it_is_exact() -> None:
    @pipeline
    def plain(text: str, times: Static[Literal[1, 2]] = 1):  # type: ignore[no-untyped-def]
        return whisper(text, times)

    assert pipemount.compile(plain).graph.fidelity == "exact"


async def test_overrides_reach_only_what_the_chosen_snapshot_leaves_open() -> None:
    @pipeline
    def chosen(text: str, fixed: Static[bool] = False):  # type: ignore[no-untyped-def]
        return whisper(text, 2) if fixed else whisper(text)

    app = PipelineApp(chosen)
    async with app.lifespan(None):
        steps = {"whisper": {"parameters": {"times": 3}}}
        free = await post(app, "/invoke", {"parameters": {"text": "a"}, "steps": steps})
        fixed = await post(app, "/invoke", {"parameters": {"text": "a", "fixed": True}, "steps": steps})
    assert free.json()["outputs"] == {"output": "aaa"}
    assert fixed.json()["outputs"] == {"output": "aa"}


async def test_its_events_are_those_of_the_chosen_snapshot() -> None:
    compiled = pipemount.compile(speak)
    events: list[Any] = []
    await run_compiled(compiled, {"text": "a", "style": "soft"}, listener=events.append)
    assert [event.step for event in events if event.kind == "step_completed"] == ["whisper"]


def test_a_pipeline_without_static_parameters_has_none() -> None:
    assert isinstance(speak, Pipeline)
    assert PipelineDefinition(lambda text: shout(text), name="plain").statics is None
