"""Whatever a body does with a reference gives a reference, decides a branch, or is a ``CompileError``."""

from __future__ import annotations

import builtins
import collections
import contextlib
import copy
import datetime
import decimal
import functools
import io
import itertools
import json
import math
import operator
import os.path
import pathlib
import pickle
import re
import statistics
import string
import textwrap
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from pipemount import CompileError, pipeline, step
from pipemount.pipelines.references import Reference
from pipemount.pipelines.snapshot import Snapshot


class Weather(BaseModel):
    city: str
    temperature: float
    stations: list[str] = []
    pair: tuple[int, str] = (1, "a")
    note: str | None = None


@step
def fetch(city: str) -> Weather:
    raise NotImplementedError


@step
def keep(value: Any) -> str:
    raise NotImplementedError


READS: list[Callable[[Any], Any]] = [
    lambda weather: weather,
    lambda weather: weather.city,
    lambda weather: weather.temperature,
    lambda weather: weather.stations,
    lambda weather: weather.pair,
    lambda weather: weather.note,
    lambda weather: weather.temperature > 3,
]

MODULES = [collections, copy, datetime, decimal, functools, itertools, json, math, operator, os.path, pathlib, pickle]
MODULES += [re, statistics, string, textwrap, uuid]

UNFIT = {
    *("breakpoint", "help", "input", "exit", "quit", "copyright", "credits", "license"),  # they wait for a person
    "decimal.setcontext",  # it changes the process
    "anext",  # Python 3.11 crashes where what it calls raises
    *("id", "repr", "ascii", "dir", "callable", "pickle.whichmodule"),  # Python answers, and asks no reference
}


def named(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        full = name if module is builtins else f"{module.__name__}.{name}"
        if callable(value) and not name.startswith("_") and not {name, full} & UNFIT:
            yield full, value


CALLS = dict(item for module in (builtins, *MODULES) for item in named(module))
CALLS |= {f"numpy.{name}": getattr(numpy, name) for name in ("array", "asarray", "mean", "sqrt", "float64", "dot")}
CALLS |= {"TypeAdapter": TypeAdapter(int).validate_python, "Weather": Weather, "print": print}

SHAPES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "one": lambda r: (r,),
    "first": lambda r: (r, 2),
    "second": lambda r: ("%s", r),
    "inside": lambda r: ([r, 1],),
}


class Anything:
    """An object of which nothing is known."""

    def __getattr__(self, name: str) -> Anything:
        return self

    def __call__(self, *args: object, **kwargs: object) -> Anything:
        return self

    def __gt__(self, other: object) -> Anything:
        return self


def outcome(use: Callable[[Any], Any]) -> Snapshot | CompileError:
    """What compiling a body says that does ``use``; anything else that comes out of it fails the test."""
    seen: list[Any] = []

    @pipeline
    def body(city: str):  # type: ignore[no-untyped-def]
        made = use(fetch(city))
        seen.append(made)
        return keep(made)

    try:
        snapshot = body.compile()
    except CompileError as error:
        assert error.file
        assert error.line
        return error
    forked = len(seen) > 2  # once, again to compare, and once more for each further path
    assert forked or holds_reference(seen[0]) or seen[0] == use(Anything()), f"nothing was said of {seen[0]!r}"
    return snapshot


def holds_reference(value: Any) -> bool:
    if issubclass(type(value), Reference):
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(holds_reference(item) for item in items)


def calling(function: Callable[..., Any], shape: str, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def use(weather: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            made = function(*SHAPES[shape](read(weather)))
            return list(itertools.islice(made, 10)) if isinstance(made, Iterator) else made

    return use


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.no_cover
def test_every_call_of_pythons_own(name: str) -> None:
    said = [outcome(calling(CALLS[name], shape, read)) for shape in SHAPES for read in READS[:2]]
    assert len(said) == 2 * len(SHAPES)


METHODS = sorted({name for kind in (int, str, list, dict, object, float) for name in dir(kind) if name[:2] == "__"})
SKIPPED = {"__class__", "__init__", "__new__", "__getattribute__", "__repr__", "__dir__", "__doc__", "__sizeof__"}


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SKIPPED])
@pytest.mark.no_cover
def test_every_method_that_python_calls(name: str) -> None:
    for read in READS[:4]:
        for arguments in ((), (2,)):
            said = outcome(lambda weather, r=read, a=arguments: getattr(type(r(weather)), name)(r(weather), *a))  # type: ignore[misc]  # early bound
            assert isinstance(said, Snapshot | CompileError)


@given(st.lists(st.tuples(st.sampled_from(sorted(CALLS)), st.sampled_from(sorted(SHAPES))), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
@pytest.mark.no_cover
def test_one_call_after_another(calls: list[tuple[str, str]]) -> None:
    def use(weather: Any) -> Any:
        made = weather
        for name, shape in calls:
            made = calling(CALLS[name], shape, lambda value: value)(made)
        return made

    assert isinstance(outcome(use), Snapshot | CompileError)
