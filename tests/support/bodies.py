"""Bodies drawn at random, as source: run once as plain Python, once compiled, they must do the same."""

from __future__ import annotations

import asyncio
import enum
import functools
import inspect
import linecache
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from pipemount import pipeline, step, unmapped

__all__ = ["Both", "inputs", "made", "source"]


class Hue(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Order(BaseModel):
    total: int = 0
    note: str | None = None
    state: Literal["new", "paid", "sent"] = "new"
    sizes: list[int] = []


def inc(x: Any) -> int:
    return _number(x) + 1


def add(x: Any, y: Any) -> int:
    return _number(x) + 2 * _number(y)


def even(x: Any) -> bool:
    return _number(x) % 2 == 0


def maybe(x: Any) -> str | None:
    return ["none", None, "some"][_number(x) % 3] if _number(x) % 2 else None


def state(x: Any) -> Literal["new", "paid", "sent"]:
    return ("new", "paid", "sent")[_number(x) % 3]


def hue(x: Any) -> Hue | None:
    return (Hue.RED, Hue.BLUE, None)[_number(x) % 3]


def many(x: Any) -> list[int]:
    return list(range(_number(x) % 4))


def order(x: Any) -> Order:
    n = _number(x)
    return Order(total=n, note=maybe(n), state=state(n + 1), sizes=many(n))


def both(x: Any) -> tuple[int, bool]:
    return _number(x) + 3, even(x)


def _number(value: Any) -> int:
    """The same in every process, and another for nearly every other value."""
    return value % 97 if type(value) is int else sum(repr(value).encode()) % 97


def scaled(by: int) -> Callable[..., Any]:
    """Steps of one name and one source that do different things."""

    def scale(x: Any) -> int:
        return _number(x) * by

    return scale


STEPS: Mapping[str, Callable[..., Any]] = {
    **{function.__name__: function for function in (inc, add, even, maybe, state, hue, many, order, both)},
    "twice": scaled(2),
    "thrice": scaled(3),
}

_KINDS = {
    "number": (("inc", 1), ("add", 2), ("twice", 1), ("thrice", 1)),
    "truth": (("even", 1),),
    "text": (("maybe", 1),),
    "state": (("state", 1),),
    "hue": (("hue", 1),),
    "list": (("many", 1),),
    "order": (("order", 1),),
}


def inputs(chance: random.Random) -> dict[str, Any]:
    """Inputs of a body."""
    return {
        "a": chance.randrange(6),
        "b": chance.random() < 0.5,
        "c": chance.choice(["new", "paid", "sent"]),
        "d": chance.choice([None, "some", "none"]),
        "e": chance.choice([*Hue, None]),
        "o": Order(total=chance.randrange(6), note=chance.choice([None, "some"]), sizes=many(chance.randrange(4))),
        "xs": [chance.randrange(5) for _ in range(chance.randrange(4))],
    }


_SIGNATURE = "a: int, b: bool, c: Literal['new', 'paid', 'sent'], d: str | None, e: Hue | None, o: Order, xs: list[int]"
_GIVEN = "a, b, c, d, e, o, xs"
_KNOWN = {"a": "number", "b": "truth", "c": "state", "d": "text", "e": "hue", "o": "order", "xs": "list"}


def source(chance: random.Random) -> str:
    """A module with a pipeline ``body``, and one or two that it may call."""
    inner = [f"@pipeline\ndef inner_{n}(x: int, y: int = 2):\n{_Writer(chance, 5).inner()}\n" for n in range(2)]
    body = _Writer(chance, chance.randrange(4, 12)).body()
    return "\n".join([_HELPERS, *inner, f"@pipeline(max_paths=256)\ndef body({_SIGNATURE}):\n{body}"])


_HELPERS = """
def helper(value, limit):
    if value > limit:
        return inc(value)
    return value


def either(*values):
    for value in values:
        if value == 1 or value == 2:
            return value
    return add(values[0], values[-1])


def repeated(value, left):
    return repeated(inc(value), left - 1) if left and value > left else value

"""


@dataclass
class _Writer:
    """Statements that read only what is there on every path, so that no program raises."""

    chance: random.Random
    left: int
    count: int = 0
    lines: list[str] = field(default_factory=list)
    loops: int = 0
    nested: bool = False

    def body(self) -> str:
        known = dict(_KNOWN)
        self.lines.append("    out = {}")
        self.block(known, 1)
        self.returning(known, 1)
        return "\n".join(self.lines)

    def inner(self) -> str:
        self.nested = True
        known = {"x": "number", "y": "number"}
        self.lines.append("    out = {}")
        self.block(known, 1)
        self.lines.append(f"    return {self.value(known, 'number')}")
        return "\n".join(self.lines)

    # ---------------------------------------------------------------------------------- statements

    def put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def block(self, known: dict[str, str], depth: int) -> None:
        begun = len(self.lines)
        for _ in range(self.chance.randrange(1, 5)):
            if self.left > 0:
                self.left -= 1
                self.chance.choice(_STATEMENTS if depth < 4 else _FLAT)(self, known, depth)
        if len(self.lines) == begun:
            self.put(depth, "pass")

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def assign(self, known: dict[str, str], depth: int) -> None:
        kind = self.chance.choice(["number", "number", *_KINDS])
        old = [name for name, other in known.items() if other == kind]
        name = self.chance.choice(old) if old and self.chance.random() < 0.4 else self.name()
        self.put(depth, f"{name} = {self.value(known, kind)}")
        known[name] = kind

    def out(self, known: dict[str, str], depth: int) -> None:
        if self.nested:
            return self.assign(known, depth)
        kind = self.chance.choice(list(_KINDS))
        self.put(depth, f"out['k{self.chance.randrange(4)}'] = shown({self.value(known, kind)})")
        return None

    def branch(self, known: dict[str, str], depth: int) -> None:
        self.put(depth, f"if {self.asked(known)}:")
        self.block(dict(known), depth + 1)
        if self.chance.random() < 0.3:
            self.put(depth, f"elif {self.asked(known)}:")
            self.block(dict(known), depth + 1)
        if self.chance.random() < 0.5:
            self.put(depth, "else:")
            self.block(dict(known), depth + 1)

    def loop(self, known: dict[str, str], depth: int) -> None:
        name = self.name()
        self.put(depth, f"for {name} in range({self.chance.randrange(1, 4)}):")
        self.loops += 1
        if self.chance.random() < 0.6:
            number = self.read(known, "number")
            self.put(depth + 1, f"if {number} {self.chance.choice(['>', '==', '!='])} {name}:")
            change = ["break", "continue"] + [f"{number} = inc({name})"] * ("." not in number)
            self.put(depth + 2, self.chance.choice(change))
        self.block(dict(known), depth + 1)
        self.loops -= 1

    def mapped(self, known: dict[str, str], depth: int) -> None:
        name, over = self.name(), self.read(known, "list")
        other = self.read(known, "number")
        inner = [] if self.nested else [f"inner_{self.chance.randrange(2)}.map({over}, y=unmapped({other}))"]
        self.put(
            depth,
            f"{name} = "
            + self.chance.choice(
                [
                    f"inc.map({over})",
                    f"add.map({over}, {over})",
                    f"add.product({over}, [1, 2])",
                    f"add.map({over}, unmapped({other}), max_concurrency=2)",
                    f"(twice if {self.asked(known)} else thrice).map({over})",
                    *inner,
                ]
            ),
        )
        known[name] = "list"

    def called(self, known: dict[str, str], depth: int) -> None:
        if self.nested:
            return self.assign(known, depth)
        name, inner = self.name(), f"inner_{self.chance.randrange(2)}"
        number, other = self.read(known, "number"), self.read(known, "number")
        self.put(depth, f"{name} = {inner}({self.chance.choice([number, f'{number}, {other}', f'{number}, 1'])})")
        known[name] = "number"
        return None

    def tried(self, known: dict[str, str], depth: int) -> None:
        self.put(depth, "try:")
        self.block(dict(known), depth + 1)
        self.put(depth, "finally:")
        self.assign(known, depth + 1)

    def matched(self, known: dict[str, str], depth: int) -> None:
        kind, cases = self.chance.choice(list(_CASES.items()))
        self.put(depth, f"match {self.read(known, kind)}:")
        for case in cases[: self.chance.randrange(1, 4)]:
            guard = f" if {self.asked(known)}" if self.chance.random() < 0.2 else ""
            self.put(depth + 1, f"case {case}{guard}:")
            self.block(dict(known), depth + 2)

    def ending(self, known: dict[str, str], depth: int) -> None:
        if depth == 1:
            return self.branch(known, depth)
        if self.nested:
            self.put(depth, f"return {self.read(known, 'number')}")
        else:
            self.returning(known, depth)
        return None

    def unpacked(self, known: dict[str, str], depth: int) -> None:
        one, other = self.name(), self.name()
        self.put(depth, f"{one}, {other} = both({self.read(known, 'number')})")
        known |= {one: "number", other: "truth"}

    def returning(self, known: dict[str, str], depth: int) -> None:
        kind = self.chance.choice(list(_KINDS))
        self.put(depth, f"return {{**out, 'end': shown({self.value(known, kind)})}}")

    # ------------------------------------------------------------------------------------- values

    def read(self, known: Mapping[str, str], kind: str) -> str:
        found = [name for name, other in known.items() if other == kind]
        for name in [name for name, other in known.items() if other == "order"]:
            field = {"number": "total", "text": "note", "state": "state", "list": "sizes"}.get(kind)
            found += [f"{name}.{field}"] if field else []
        if found:
            return self.chance.choice(found)
        return _CONSTANTS[kind] if kind in _CONSTANTS else f"{_KINDS[kind][0][0]}({self.read(known, 'number')})"

    def value(self, known: Mapping[str, str], kind: str) -> str:
        """A call of a step, mostly."""
        which = self.chance.random()
        if which < 0.1:
            return f"({self.value(known, kind)} if {self.asked(known)} else {self.read(known, kind)})"
        if which < 0.15 and kind == "text":
            return f"({self.read(known, kind)} or 'other')"
        if which < 0.25 and kind == "number":
            number = self.read(known, "number")
            return self.chance.choice(
                [
                    f"helper({number}, {self.chance.randrange(5)})",
                    f"either({number}, {self.read(known, 'number')}, 1)",
                    f"max({number}, {self.read(known, 'number')})",
                    f"repeated({number}, 2)",
                    f"(twice if {self.asked(known)} else thrice)({number})",
                    f"(lambda v: inc(v) if v == 2 else v)({number})",
                    f"inc([inc(i) for i in (1, 2) if {number} > i])",
                ]
            )
        called, count = self.chance.choice(_KINDS[kind])
        kinds = [self.chance.choice(["number", *_KINDS]) for _ in range(count)]
        return f"{called}({', '.join(self.given(known, other) for other in kinds)})"

    def given(self, known: Mapping[str, str], kind: str) -> str:
        if self.chance.random() < 0.1:
            return self.chance.choice(["1", "True", "1.0", "'1'", "[1]", "[True]", "(1,)", "None", "-0.0", "Hue.RED"])
        if self.chance.random() < 0.1:
            return f"[{self.read(known, kind)}, {self.read(known, 'number')}]"
        return self.read(known, kind)

    # ---------------------------------------------------------------------------------- questions

    def asked(self, known: Mapping[str, str]) -> str:
        which = self.chance.random()
        if which < 0.1:
            return f"{self.asked(known)} {self.chance.choice(['and', 'or'])} {self.asked(known)}"
        if which < 0.15:
            return f"not ({self.asked(known)})"
        if which < 0.2:
            number = self.read(known, "number")
            return f"{self.chance.choice(['any', 'all'])}({number} {self.chance.choice('<>')} i for i in (1, 2))"
        if which < 0.24:
            return f"({self.name()} := {self.value(known, 'number')}) > {self.chance.randrange(5)}"
        kind = self.chance.choice([kind for kind in _KINDS if kind != "order"])
        value, number = self.read(known, kind), str(self.chance.randrange(5))
        other = self.read(known, kind)
        return self.chance.choice(
            {
                "number": [
                    f"{value} > {number}",
                    f"{value} == {number}",
                    f"{number} <= {value} < {other}",
                    f"0 < {value} != {number}",
                    f"{value} in [1, {other}]",
                    f"{value} in {self.read(known, 'list')}",
                    f"{value} not in (0, 1)",
                    f"{value}",
                ],
                "truth": [value, f"not {value}", f"{value} is True", f"{value} == {other}", f"{value} == 1"],
                "text": [
                    f"{value} is None",
                    f"{value} is not None",
                    f"{value} == 'some'",
                    f"{value} != {other}",
                    f"{value} in (None, 'some')",
                    f"{value} == None",
                    value,
                    f"{value} is not None and {value} > 'o'",
                ],
                "state": [
                    f"{value} == 'new'",
                    f"{value} != 'paid'",
                    f"{value} in ('new', 'sent')",
                    f"{value} in []",
                    f"{value} == {other}",
                    f"'e' in {value}",
                    f"{value} < 'q'",
                ],
                "hue": [f"{value} is Hue.RED", f"{value} == Hue.BLUE", f"{value} in (Hue.RED, None)", value],
                "list": [value, f"{number} in {value}", f"{value} == [0, 1]", f"{value} and {value}[0] == {number}"],
            }[kind]
        )


_CONSTANTS = {"number": "3", "truth": "True", "text": "'some'", "state": "'new'", "hue": "Hue.RED", "list": "[1, 2]"}
_CASES = {
    "state": ["'new'", "'paid' | 'sent'", "_"],
    "text": ["None", "'some'", "_"],
    "hue": ["None", "Hue.RED", "_"],
    "number": ["0", "1 | 2", "_"],
    "truth": ["True", "_"],
}
_FLAT = [_Writer.assign, _Writer.assign, _Writer.out, _Writer.mapped, _Writer.ending, _Writer.unpacked]
_STATEMENTS = [
    *_FLAT,
    _Writer.branch,
    _Writer.branch,
    _Writer.branch,
    _Writer.loop,
    _Writer.called,
    _Writer.tried,
    _Writer.matched,
    _Writer.out,
]


# --------------------------------------------------------------------------------------------- running


@dataclass
class Both:
    """A module as plain Python and as pipelines, and the steps that the last run called."""

    plain: Callable[..., Any]
    compiled: Any
    called: list[str]

    def run(self, body: Callable[..., Any], given: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """What ``body`` returns, and the calls of steps in it."""
        self.called.clear()
        return body(**given), sorted(self.called)


class _Plain:
    """A function in the place of a step or pipeline."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def map(self, *lists: Any, max_concurrency: int | None = None, **named: Any) -> list[Any]:
        count = len(lists[0])
        rows = [
            [value.value if isinstance(value, type(unmapped(1))) else value[n] for value in lists] for n in range(count)
        ]
        return [self.function(*row, **{name: value.value for name, value in named.items()}) for row in rows]

    def product(self, one: list[Any], other: list[Any]) -> list[Any]:
        return [self.function(x, y) for x in one for y in other]


def made(text: str, name: str) -> Both:
    """The module of ``text``, twice."""
    called: list[str] = []

    def recorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return _recording(called, name, function)

    names = {"Hue": Hue, "Order": Order, "Literal": Literal, "unmapped": unmapped, "__name__": __name__}
    functions = {name: recorded(name, function) for name, function in STEPS.items()}
    shown = recorded("shown", _shown)
    plain = {name: _Plain(function) for name, function in (functions | {"shown": shown}).items()}
    steps = {name: _as_step(name, function) for name, function in (functions | {"shown": shown}).items()}
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    code = compile(text, name, "exec")
    one: dict[str, Any] = {**names, **plain, "pipeline": _as_plain}
    other: dict[str, Any] = {**names, **steps, "pipeline": pipeline}
    exec(code, one)
    exec(code, other)
    return Both(one["body"], other["body"], called)


def _as_step(name: str, function: Callable[..., Any]) -> Any:
    """Some in threads, some awaited."""
    if name not in ("inc", "state", "many"):
        return step(thread=name in ("add", "maybe"))(function)

    @functools.wraps(function)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return step(awaited)


def _shown(x: Any) -> str:
    return repr(x)


def _as_plain(function: Any = None, **options: Any) -> Any:
    return _Plain(function) if function is not None else _Plain


def _recording(called: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        called.append(f"{name}{tuple(signature.bind(*args, **kwargs).arguments.values())}")
        return function(*args, **kwargs)

    return call
