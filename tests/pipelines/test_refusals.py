"""What cannot be compiled is explained: a code of its own, the author's file and line, the way out."""

from __future__ import annotations

import copy
import inspect
import math
import operator
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from pipemount.errors import CompileError
from pipemount.pipelines.authoring import PipelineDefinition, compile_function, step


class Model(BaseModel):
    name: str
    size: int
    tags: list[str] = []
    other: Model | None = None

    def method(self) -> str:
        return self.name


class Other(BaseModel):
    value: int


class Typed(TypedDict):
    key: int


class Color(Enum):
    RED = "red"
    BLUE = "blue"


@step
def make(text: str) -> Model:
    raise NotImplementedError


@step
def use(value: Any) -> str:
    raise NotImplementedError


@step
def number(value: int) -> int:
    raise NotImplementedError


@step
def other(value: Other) -> Other:
    raise NotImplementedError


@step
def typed() -> Typed:
    raise NotImplementedError


def refusal(body: Callable[..., Any]) -> CompileError:
    with pytest.raises(CompileError) as caught:
        PipelineDefinition(body).compile()
    return caught.value


OPERATIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "fstring": ("text-of-reference", lambda r: f"{r}"),
    "fstring repr": ("text-of-reference", lambda r: f"{r!r}"),
    "fstring nested repr": ("text-of-reference", lambda r: {"a": [f"{r!r}"]}),
    "str": ("text-of-reference", str),
    "format": ("text-of-reference", "{}".format),
    "percent": ("text-of-reference", lambda r: "%s" % r),  # noqa: UP031 - the very thing
    "bytes": ("text-of-reference", bytes),
    "join": ("iterate-reference", lambda r: " ".join(r)),
    "int": ("number-of-reference", int),
    "float": ("number-of-reference", float),
    "complex": ("number-of-reference", complex),
    "round": ("number-of-reference", round),
    "floor": ("number-of-reference", math.floor),
    "range": ("index-by-reference", range),
    "index": ("index-by-reference", lambda r: [1, 2][r]),
    "repeat": ("operator-on-reference", lambda r: r * 3),
    "len": ("len-of-reference", len),
    "for": ("iterate-reference", lambda r: [x for x in r]),  # noqa: C416 - the very thing
    "unpack": ("iterate-reference", lambda r: (lambda a, b: a)(*r)),
    "reversed": ("iterate-reference", reversed),
    "next": ("iterate-reference", next),
    "hash": ("hash-of-reference", lambda r: {r: 1}),
    "set": ("hash-of-reference", lambda r: {r}),
    "await": ("await-reference", lambda r: r.__await__()),
    "call": ("call-reference", lambda r: r()),
    "set attribute": ("assign-to-reference", lambda r: setattr(r, "size", 3)),
    "delete attribute": ("assign-to-reference", lambda r: delattr(r, "size")),
    "set item": ("assign-to-reference", lambda r: operator.setitem(r, "size", 3)),
    "delete item": ("assign-to-reference", lambda r: operator.delitem(r, "size")),
    "with": ("with-reference", lambda r: r.__enter__()),
    "copy": ("copy-reference", copy.copy),
    "deepcopy": ("copy-reference", copy.deepcopy),
    "pickle": ("copy-reference", pickle.dumps),
    "slice": ("item-key", lambda r: r.tags[1:]),
    "index by reference": ("item-key", lambda r: r.tags[r.size]),
    "comparison passed": ("comparison-as-value", lambda r: r.size > 3),
    "unknown field": ("unknown-field", lambda r: r.colour),
    "method": ("method-on-reference", lambda r: r.method()),
    "inherited method": ("method-on-reference", lambda r: r.model_dump()),
    "text method": ("method-on-reference", lambda r: r.name.upper()),
    "field of text": ("unknown-field", lambda r: r.name.colour),
    "item of model": ("unknown-item", lambda r: r["name"]),
    "text key of list": ("unknown-item", lambda r: r.tags["x"]),
    "field of optional": ("optional-field", lambda r: r.other.name),
    "matmul": ("operator-on-reference", lambda r: r @ 1),
    "reflected": ("operator-on-reference", lambda r: 1 + r),
    "text plus": ("operator-on-reference", lambda r: "x" + r.name),
    "in place": ("operator-on-reference", lambda r: operator.iadd(r, 1)),  # type: ignore[no-untyped-call]
    "negative": ("operator-on-reference", operator.neg),
    "divmod": ("operator-on-reference", lambda r: divmod(7, r)),
    "pow": ("operator-on-reference", lambda r: 2**r),
    "sum": ("operator-on-reference", lambda r: sum([r])),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_references(name: str) -> None:
    code, operation = OPERATIONS[name]

    def body(text: str):  # type: ignore[no-untyped-def]
        report = make(text)
        return use(operation(report))

    error = refusal(body)
    assert error.detail_code == code
    assert error.file == __file__
    assert error.line
    assert str(error).endswith(f"{error.way_out}.\nSee {error.docs_url}")


def test_the_line_is_the_authors() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        report = make(text)
        return use(f"Weather: {report}")

    error = refusal(body)
    _, start = inspect.getsourcelines(body)
    assert error.line == start + 2
    assert "f-string" in str(error)


def test_fields_are_listed() -> None:
    def model(text: str):  # type: ignore[no-untyped-def]
        return use(make(text).colour)

    def item():  # type: ignore[no-untyped-def]
        return use(typed()["colour"])

    def attribute():  # type: ignore[no-untyped-def]
        return use(typed().key)

    assert refusal(model).way_out == "Its fields are: name, size, tags, other"
    assert refusal(item).way_out == "Its items are: ['key']"
    assert refusal(attribute).way_out == "Its items are: ['key']"


def test_an_except_in_the_body_cannot_hide_a_fault() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        try:
            size = len(text)
        except Exception:
            size = 0
        return use(size)

    assert refusal(body).detail_code == "len-of-reference"


def test_optional_values_that_are_passed_on_are_no_branch() -> None:
    @step
    def perhaps() -> str | None: ...

    def body(note: str | None, flag: bool, color: Color = Color.RED):  # type: ignore[no-untyped-def]
        found = perhaps()
        return use([note, {"found": found, "flag": flag}, (color, 1)]), use(found, after=found), use(note)

    assert len(PipelineDefinition(body).compile().nodes) == 4


# ---------------------------------------------------------------------------------------- the body


def test_bodies_that_raise() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        use(text)
        raise KeyError("gone")

    error = refusal(body)
    assert error.detail_code == "body-raised"
    assert "KeyError: 'gone'" in str(error)
    assert error.line == inspect.getsourcelines(body)[1] + 2
    assert isinstance(error.__cause__, KeyError)


def test_bodies_that_recurse_for_ever() -> None:
    def forever(text: str) -> Any:
        return forever(text)

    def body(text: str):  # type: ignore[no-untyped-def]
        return forever(text)

    assert refusal(body).detail_code == "recursive-pipeline"


def test_bodies_that_differ_from_run_to_run() -> None:
    values = iter(range(100))

    def body():  # type: ignore[no-untyped-def]
        return use(next(values))

    assert refusal(body).detail_code == "nondeterministic-pipeline"


def test_bodies_without_steps() -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        return text

    assert refusal(body).detail_code == "no-steps"


def test_async_and_generator_bodies() -> None:
    async def coroutine(text: str):  # type: ignore[no-untyped-def]
        return await use(text)

    async def asynchronous(text: str):  # type: ignore[no-untyped-def]
        yield use(text)

    def generator(text: str):  # type: ignore[no-untyped-def]
        yield use(text)

    assert [refusal(f).detail_code for f in (coroutine, asynchronous, generator)] == [
        "async-pipeline",
        "async-pipeline",
        "generator-pipeline",
    ]
    assert refusal(coroutine).line == inspect.getsourcelines(coroutine)[1]


def test_variadic_and_positional_only_parameters() -> None:
    def variadic(*texts: str):  # type: ignore[no-untyped-def]
        return use(texts)

    def keywords(**texts: str):  # type: ignore[no-untyped-def]
        return use(texts)

    def positional(text: str, /):  # type: ignore[no-untyped-def]
        return use(text)

    assert [refusal(f).detail_code for f in (variadic, keywords, positional)] == [
        "variadic-parameter",
        "variadic-parameter",
        "positional-only-parameter",
    ]
    with pytest.raises(CompileError, match="the step 'variadic'"):
        compile_function(variadic)


def test_references_of_another_compilation() -> None:
    kept: list[Any] = []

    def first(text: str):  # type: ignore[no-untyped-def]
        kept.append(make(text))
        return kept[-1]

    def second():  # type: ignore[no-untyped-def]
        return use(kept[0])

    def after():  # type: ignore[no-untyped-def]
        return use(1, after=kept[0])

    PipelineDefinition(first).compile()
    assert [refusal(f).detail_code for f in (second, after)] == ["foreign-reference"] * 2
    with pytest.raises(CompileError, match="made into text"):
        str(kept[0])


# ------------------------------------------------------------------------------------------- calls


def test_calls_that_do_not_fit_the_signature() -> None:
    def missing():  # type: ignore[no-untyped-def]
        return number()

    def unknown(n: int):  # type: ignore[no-untyped-def]
        return number(n, colour=1)

    def twice(n: int):  # type: ignore[no-untyped-def]
        return number(n, value=n)

    for body in (missing, unknown, twice):
        error = refusal(body)
        assert error.detail_code == "wrong-arguments"
        assert error.way_out == "Call it as number(value: int)"
        assert error.line == inspect.getsourcelines(body)[1] + 1


def test_edges_that_can_never_fit() -> None:
    def model(text: str):  # type: ignore[no-untyped-def]
        return other(make(text))

    def many(texts: list[str]):  # type: ignore[no-untyped-def]
        return number(texts)

    assert [refusal(f).detail_code for f in (model, many)] == ["type-mismatch"] * 2
    assert "Model" in refusal(model).operation


def test_constants_that_cannot_be() -> None:
    class Client: ...

    def client():  # type: ignore[no-untyped-def]
        return use(Client())

    def lock():  # type: ignore[no-untyped-def]
        return use({"lock": threading.Lock()})

    def function():  # type: ignore[no-untyped-def]
        return use(lambda: 1)

    def generator():  # type: ignore[no-untyped-def]
        return use(x for x in [1])

    def step_itself():  # type: ignore[no-untyped-def]
        return use(number)

    for body in (client, lock, function, generator, step_itself):
        error = refusal(body)
        assert error.detail_code == "unserialisable-constant"
        assert ("Call it" if body in (function, step_itself) else "on_init") in error.way_out

    def wrong():  # type: ignore[no-untyped-def]
        return number("twelve")

    assert refusal(wrong).detail_code == "bad-constant"
    assert "valid integer" in refusal(wrong).reason


# ----------------------------------------------------------------------------------------- results


def test_results_that_cannot_be() -> None:
    class Client: ...

    def unserialisable(text: str):  # type: ignore[no-untyped-def]
        use(text)
        return Client()

    def key(text: str):  # type: ignore[no-untyped-def]
        return {1: use(text)}

    def twice(text: str):  # type: ignore[no-untyped-def]
        result = make(text)
        return result.name, make(result.name).name, make(text).size

    assert refusal(unserialisable).detail_code == "unserialisable-constant"
    assert refusal(key).detail_code == "output-name"
    names = [r.name for r in PipelineDefinition(twice).compile().results]
    assert names == ["make.name", "make_2.name", "size"]


def test_outputs_without_a_schema() -> None:
    class Frame: ...

    @step
    def frame() -> Frame:
        return Frame()

    @step
    def shape(frame: Frame) -> int:
        return 1

    def inside():  # type: ignore[no-untyped-def]
        return shape(frame())

    def out():  # type: ignore[no-untyped-def]
        return frame()

    def into(frame: Frame):  # type: ignore[no-untyped-def]
        return shape(frame)

    assert PipelineDefinition(inside).compile().nodes[1].bindings[0].coerce is None
    assert [refusal(f).detail_code for f in (out, into)] == ["type-without-schema"] * 2
    assert "convert inside a step" in refusal(out).way_out


def test_enum_members_pass_through_probes() -> None:
    def body(color: Color):  # type: ignore[no-untyped-def]
        return use(color.value)

    assert len(PipelineDefinition(body).compile().nodes) == 1


def test_objects_that_hold_references() -> None:
    @dataclass
    class Point:
        x: Any

    def plain(text: str):  # type: ignore[no-untyped-def]
        return use(Point(text))

    def validated(text: str):  # type: ignore[no-untyped-def]
        return use(Model(name=text, size=1))

    assert refusal(plain).detail_code == "reference-in-object"
    assert refusal(validated).detail_code == "reference-in-object"


def test_a_list_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)

    def passed():  # type: ignore[no-untyped-def]
        return use(endless)

    def returned():  # type: ignore[no-untyped-def]
        use(1)
        return endless

    assert [refusal(f).detail_code for f in (passed, returned)] == ["recursive-pipeline"] * 2


@pytest.mark.parametrize("id", ["a/b", "a\n", 3])
def test_ids_that_cannot_be(id: Any) -> None:
    def body(text: str):  # type: ignore[no-untyped-def]
        return use(text, id=id)

    def inner(text: str):  # type: ignore[no-untyped-def]
        return use(text)

    sub = PipelineDefinition(inner)

    def outer(text: str):  # type: ignore[no-untyped-def]
        return sub(text, id=id)

    assert [refusal(f).detail_code for f in (body, outer)] == ["bad-id"] * 2
