"""Bodies that decide: what is explored, what the paths become, and what follows from an answer."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from pipemount import CompileError, pipeline, step
from pipemount.pipelines.authoring import PipelineDefinition
from pipemount.pipelines.snapshot import EVERY_PATH, Choice, Snapshot


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Coupon(BaseModel):
    code: str


class Order(BaseModel):
    total: float = 0.0
    coupon: Coupon | None = None
    tags: list[str] = []
    state: Literal["new", "paid"] = "new"


@dataclass
class Box:
    size: int
    label: str | None = None


@step
def use(value: Any) -> Any:
    return value


@step
def text(value: str) -> str:
    return value


@step
def number(value: int) -> int:
    return value


@step
def order(total: float) -> Order:
    return Order(total=total)


@step
def box(size: int) -> Box:
    return Box(size)


def compiled(body: Callable[..., Any], **options: Any) -> Snapshot:
    return PipelineDefinition(body, **options).compile()


def refusal(body: Callable[..., Any], **options: Any) -> CompileError:
    with pytest.raises(CompileError) as caught:
        compiled(body, **options)
    return caught.value


def asked(body: Callable[..., Any]) -> list[str]:
    return [branch.text for branch in compiled(body).branches]


# ----------------------------------------------------------------------------------------- questions


@pytest.mark.no_cover
def test_each_way_to_ask() -> None:
    def body(n: int, s: str, o: Order, flag: bool, seen: list[int], maybe: int | None):  # type: ignore[no-untyped-def]
        out = {}
        if flag:
            out["truth"] = use(1)
        if n == 1 and s != "a":
            out["equal"] = use(2)
        if 0 < n <= 9 or n >= 100:
            out["order"] = use(3)
        if s in ("x", "y"):
            out["in"] = use(4)
        if n in seen:
            out["in reference"] = use(5)
        if 7 not in seen:
            out["constant in reference"] = use(6)
        if maybe is None:
            out["none"] = use(7)
        if o.coupon is not None and o.state == "paid":
            out["fields"] = use(8)
        if n == o.total:
            out["two references"] = use(9)
        return {**out, "n": use(n)}

    assert sorted(asked_with(body, 4096)) == sorted(
        [
            "flag",
            "n == 1",
            "s == 'a'",
            "n > 0",
            "n <= 9",
            "n >= 100",
            "s in ('x', 'y')",
            "n in seen",
            "7 in seen",
            "maybe is None",
            "o.coupon is None",
            "o.state == 'paid'",
            "n == o.total",
        ]
    )


def asked_with(body: Callable[..., Any], max_paths: int) -> list[str]:
    return [branch.text for branch in compiled(body, max_paths=max_paths).branches]


def test_questions_about_outputs_and_their_fields() -> None:
    def body(size: int):  # type: ignore[no-untyped-def]
        found = box(size)
        if found.size > 3 and found.label is not None:
            return {"label": text(found.label)}
        return {"size": number(found.size)}

    snapshot = compiled(body)
    assert [b.text for b in snapshot.branches] == ["box.size > 3", "box.label is None"]
    assert [b.needs for b in snapshot.branches] == [("box",), ("box",)]
    by_id = {node.id: node for node in snapshot.nodes}
    assert by_id["text"].bindings[0].coerce is None  # what is not None is a str
    assert by_id["box"].paths == EVERY_PATH


def test_the_same_question_is_asked_once() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        first = use("a") if n > 3 else use("b")
        return first, use("c") if n > 3 else use("d")

    assert asked(body) == ["n > 3"]
    assert [r.name for r in compiled(body).results] == ["output_0", "output_1"]


def test_not_equal_and_equal_are_one_question() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        if n != 3:
            return use(1)
        return use(2) if n == 3 else use("never")

    snapshot = compiled(body)
    assert [b.text for b in snapshot.branches] == ["n == 3"]
    assert len(snapshot.nodes) == 2


def test_an_elif_is_asked_where_it_is_reached() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        if n > 10:
            return use("big")
        elif n > 5:  # noqa: RET505 - the very thing
            return use("middle")
        return use("small")

    snapshot = compiled(body)
    first, second = snapshot.branches
    assert (first.when_true, first.when_false) == (("use",), (second.id,))
    assert (second.when_true, second.when_false) == (("use_2",), ("use_3",))
    assert second.decided_by == (first.id,)
    assert snapshot.paths == (
        (("branch", True),),
        (("branch", False), ("branch_2", True)),
        (("branch", False), ("branch_2", False)),
    )


def test_match_on_values() -> None:
    def body(units: str, note: str | None):  # type: ignore[no-untyped-def]
        match units:
            case "C" | "K":
                value = use(1)
            case _:
                value = use(2)
        match note:
            case None:
                return value
            case _:
                return text(note)

    assert asked(body) == ["units == 'C'", "note is None", "units == 'K'"]


def test_a_value_or_another() -> None:
    def body(note: str | None = None):  # type: ignore[no-untyped-def]
        return text(note or "nothing")

    (node,) = compiled(body).nodes
    source = node.bindings[0].source
    assert isinstance(source, Choice)
    assert node.decided_by == ("branch",)
    assert node.bindings[0].coerce is None


# ------------------------------------------------------------------------------------- what follows


def test_what_follows_is_not_asked() -> None:
    def body(units: Literal["C", "F"], color: Color, flag: bool, sure: int):  # type: ignore[no-untyped-def]
        out = []
        if units == "C":
            out.append(use("C"))
        if units == "F":
            out.append(use("F"))
        if color is Color.RED or color == Color.GREEN:
            out.append(use("warm"))
        elif color is Color.BLUE:
            out.append(use("blue"))
        else:
            out.append(use("never"))
        if flag is True:
            out.append(use("flag"))
        if flag is False:
            out.append(use("no flag"))
        if sure is None:
            out.append(use("never"))
        if units in ("C", "F"):
            out.append(use("always"))
        return {str(i): value for i, value in enumerate(out)}

    assert set(asked(body)) == {
        "units == 'C'",
        "color is Color.RED",
        "color == Color.GREEN",
        "flag is True",
    }


def test_a_guarded_field_of_an_optional_value() -> None:
    def body(o: Order):  # type: ignore[no-untyped-def]
        return {"code": text(o.coupon.code)} if o.coupon else {"total": use(o.total)}

    assert asked(body) == ["o.coupon"]
    assert [r.optional for r in compiled(body).results] == [True, True]


def test_a_field_of_what_is_none_is_refused() -> None:
    def body(o: Order):  # type: ignore[no-untyped-def]
        if o.coupon is None:
            return text(o.coupon.code)  # type: ignore[attr-defined]
        return use(1)

    assert refusal(body).detail_code == "optional-field"


# -------------------------------------------------------------------------------------- the graph


def test_paths_that_meet_again_share_their_steps() -> None:
    def body(n: int, up: bool):  # type: ignore[no-untyped-def]
        value = number(n, id="first")
        if up:
            value = number(value, id="second")
        return number(value, id="third")

    snapshot = compiled(body)
    assert [node.id for node in snapshot.nodes] == ["first", "second", "third"]
    third = snapshot.nodes[2]
    assert third.paths == EVERY_PATH
    assert set(third.needs) == {"first", "second"}
    assert isinstance(third.bindings[0].source, Choice)
    assert [edge.conditional for edge in snapshot.edges if edge.target == "third"] == [True, True]


def test_what_does_not_depend_on_a_branch_does_not_wait_for_it() -> None:
    def body(n: int, up: bool, loud: bool):  # type: ignore[no-untyped-def]
        free = number(n, id="free")
        slow = number(n, id="slow")
        out = {"free": free, "slow": slow}
        if slow > 3:
            out["a"] = number(n, id="a")
        if loud:
            out["b"] = number(n, id="b")
        return out

    by_id = {node.id: node for node in compiled(body).nodes}
    assert by_id["free"].decided_by == ()
    assert by_id["b"].decided_by == ("branch_2",)
    assert compiled(body).branches[0].text == "loud"  # it needs no step, and so comes first


def test_names_count_over_all_paths() -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        first = use("only here") if flag else None
        return {"first": first, "last": use("everywhere")}

    snapshot = compiled(body)
    assert [(node.id, node.bindings[0].source.value) for node in snapshot.nodes] == [  # type: ignore[union-attr]
        ("use_2", "everywhere"),
        ("use", "only here"),
    ]
    assert snapshot.nodes[0].paths == EVERY_PATH


def test_order_may_differ_with_the_path() -> None:
    @step
    def add(value: int) -> int:
        return value + 1

    @step
    def double(value: int) -> int:
        return value * 2

    def body(n: int, doubled_first: bool):  # type: ignore[no-untyped-def]
        for one in (double, add) if doubled_first else (add, double):
            n = one(n)
        return n

    snapshot = compiled(body)
    assert {node.id for node in snapshot.nodes} == {"double", "add", "double_2"}
    known: set[str] = set()
    for node in snapshot.nodes:
        assert set(node.needs) <= known
        known.add(node.id)


def test_pipelines_that_are_called_on_one_path() -> None:
    @pipeline
    def inner(n: int):  # type: ignore[no-untyped-def]
        return number(n) if n > 3 else number(0)

    @pipeline
    def outer(n: int, flag: bool):  # type: ignore[no-untyped-def]
        return {"x": inner(n) if flag else inner(n, id="other"), "y": inner(n)}

    ids = [node.id for node in outer.compile().nodes]
    scopes = ("inner", "other", "inner_2")
    assert sorted(ids) == sorted(f"{scope}/{name}" for scope in scopes for name in ("number", "number_2"))
    assert [b.text for b in outer.compile().branches] == ["flag", "n > 3", "n > 3"]


def test_decisions_without_effect_leave_no_branch() -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        if flag:
            pass
        return use(1)

    snapshot = compiled(body)
    assert (snapshot.branches, snapshot.paths) == ((), ())


def test_one_id_on_two_paths() -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        return use(1, id="one") if flag else text("a", id="one")

    error = refusal(body)
    assert error.detail_code == "duplicate-id"
    assert "on different paths" in str(error)


# --------------------------------------------------------------------------------------- outputs


def test_outputs_of_some_paths_are_optional() -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        outputs = {"always": number(1)}
        if flag:
            outputs["sometimes"] = text("a")
        return outputs

    schema = compiled(body).output.json_schema()
    assert schema["required"] == ["always"]
    assert sorted(schema["properties"]) == ["always", "sometimes"]


def test_types_of_an_output_on_its_paths() -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        return {"value": number(1) if flag else text("a")}

    schema = compiled(body).output.json_schema()["properties"]["value"]
    assert [one["type"] for one in schema["anyOf"]] == ["integer", "string"]


def test_a_return_without_a_value_leaves_the_output_out() -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        made = number(1)
        if flag:
            return None
        return made

    snapshot = compiled(body)
    assert [(r.name, r.optional) for r in snapshot.results] == [("output", True)]


@pytest.mark.parametrize(
    ("other", "forms"),
    [
        (lambda value: (value, value), "one value and a tuple of 2"),
        (lambda value: {"a": value}, "one value and a dict"),
    ],
)
def test_different_returns_are_refused(other: Callable[[Any], Any], forms: str) -> None:
    def body(flag: bool):  # type: ignore[no-untyped-def]
        value = number(1)
        return value if flag else other(value)

    error = refusal(body)
    assert error.detail_code == "differing-returns"
    assert forms in str(error)


# ---------------------------------------------------------------------------------------- refusals


def test_too_many_ways_name_the_forks() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        return {str(limit): use(limit) for limit in range(7) if n > limit}

    error = refusal(body)
    assert error.detail_code == "too-many-branches"
    assert "`n > 0` (line " in str(error)
    assert "max_paths" in str(error)
    assert len(compiled(body, max_paths=128).branches) == 7


def test_a_while_has_no_end() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        while n < 10:
            n = number(n)
        return n

    error = refusal(body)
    assert error.detail_code == "too-many-branches"
    assert "while" in str(error)
    assert error.line == body.__code__.co_firstlineno + 1


def test_a_body_that_raises_on_one_path() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        if n > 3:
            use(1)
        else:
            raise ValueError("too small")
        return use(2)

    error = refusal(body)
    assert error.detail_code == "body-raised"
    assert "raised ValueError where `n > 3` is false" in str(error)


def test_chance_on_another_path() -> None:
    def body(n: int):  # type: ignore[no-untyped-def]
        if n > 3:
            return use(1)
        return use(2) if random.random() < 2 and n > random.random() else use(3)

    assert refusal(body).detail_code == "nondeterministic-pipeline"


def test_a_question_that_outlives_its_body() -> None:
    kept: list[Any] = []

    def body(n: int):  # type: ignore[no-untyped-def]
        kept.append(n)
        return use(n)

    compiled(body)
    with pytest.raises(CompileError, match="after the body has returned"):
        bool(kept[0])


def test_identity_without_source_is_refused() -> None:
    names: dict[str, Any] = {"use": use}
    exec("def body(n: int = None):\n    return use(1) if n is None else use(2)", names)
    assert refusal(names["body"]).detail_code == "no-source"


def test_a_rewritten_body_keeps_its_defaults_closure_and_lines() -> None:
    limit = [3]

    def body(n: int | None, *, inner: Literal["a"] = "a"):  # type: ignore[no-untyped-def]
        found = [one for one in limit if one is not None and one in limit]
        if n is None:
            return use(found)
        return use(n + 1)

    error = refusal(body)
    assert error.detail_code == "operator-on-reference"
    assert error.line == body.__code__.co_firstlineno + 4
    limit.append(4)


def test_a_chain_of_comparisons_that_asks() -> None:
    def body(n: int | None, seen: list[int]):  # type: ignore[no-untyped-def]
        return use(1) if None is not n in seen else use(2)

    assert asked(body) == ["n is None", "n in seen"]


def test_the_fingerprint_covers_the_branches() -> None:
    def over(n: int):  # type: ignore[no-untyped-def]
        return use(1) if n > 3 else use(2)

    def under(n: int):  # type: ignore[no-untyped-def]
        return use(1) if n > 4 else use(2)

    named = [compiled(body, name="same").fingerprint for body in (over, under, over)]
    assert named[0] == named[2] != named[1]


def pick(value: int | None, other: int) -> Any:
    return other if value is None else value


def deeper(value: int | None) -> Any:
    return pick(value, 3)


def fine(value: int, other: int) -> Any:
    return value if value == other else other


def test_a_helper_that_asks_is_may_not_be_given_a_reference() -> None:
    def body(n: int | None):  # type: ignore[no-untyped-def]
        return use(deeper(n))

    def harmless(n: int):  # type: ignore[no-untyped-def]
        return use([pick(None, 3), fine(n, 2)])

    inner = pipeline(body)

    def outer(n: int | None):  # type: ignore[no-untyped-def]
        return inner(n)

    assert refusal(outer).detail_code == "identity-in-helper"
    error = refusal(body)
    assert error.detail_code == "identity-in-helper"
    assert "`pick()`" in str(error)
    assert asked(harmless) == ["n == 2"]


def test_a_helper_that_is_a_pipeline_may_ask() -> None:
    choose = pipeline(pick)

    def body(n: int | None):  # type: ignore[no-untyped-def]
        return use(choose(n, 3))

    assert asked(body) == ["n is None"]
