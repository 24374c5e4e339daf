"""Programs that cannot be compiled, as people write them; `# wrong` marks the line that the error must name.

What each is told stands in ``wrong_programs.txt``.
"""

# They are wrong on purpose: neither the type checker nor the linter has anything to say to that.
# mypy: ignore-errors
# ruff: noqa: B905, F821, PTH118, PTH123, RUF013, RUF059, UP031, UP032

from __future__ import annotations

import asyncio
import copy
import functools
import json
import math
import os
import pickle
import random
import re
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import numpy
from pydantic import BaseModel, ConfigDict, Field

from pipemount import Static, StepContext, pipeline, step, unmapped

if TYPE_CHECKING:
    from decimal import Decimal


class Weather(BaseModel):
    city: str
    temperature: float
    stations: list[str] = []
    alert: Alert | None = None

    def summary(self) -> str:
        return f"{self.city}: {self.temperature}"


class Alert(BaseModel):
    level: int
    text: str


class Order(BaseModel):
    id: int
    total: float
    placed: datetime
    lines: list[str] = []


@dataclass
class Letter:
    to: str
    text: str = ""


class Position(TypedDict):
    latitude: float
    longitude: float


class Unit(Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Frame:
    """A type that has no schema."""


@step
def fetch(city: str) -> Weather: ...


@step
def find(city: str) -> Weather | None: ...


@step
def locate(city: str) -> Position: ...


@step
def order(number: int) -> Order: ...


@step
def count(text: str) -> int: ...


@step
def words(text: str) -> list[str]: ...


@step
def halves(text: str) -> tuple[str, str]: ...


@step
def send(text: str) -> str: ...


@step
def repeat(times: int) -> str: ...


@step
def keep(value: Any) -> str: ...


@step
def publish(weather: Weather) -> str: ...


@step
def loose(value): ...


# ------------------------------------------------------------------------------------------------ text


@pipeline
def an_f_string(city: str):
    weather = fetch(city)
    return send(f"It is {weather.temperature} degrees")  # wrong


@pipeline
def an_f_string_that_shows_the_name(city: str):
    return send(f"{city=}")  # wrong


@pipeline
def an_f_string_with_a_format(city: str):
    return send(f"{fetch(city).temperature:.1f}")  # wrong


@pipeline
def str_of_a_number(number: int):
    return send(str(number))  # wrong


@pipeline
def format_of_a_text(city: str):
    return send("Weather in {}".format(city))  # wrong


@pipeline
def percent_of_a_text(city: str):
    return send("Weather in %s" % city)  # wrong


@pipeline
def a_joined_text(city: str):
    return send(", ".join([city, "Norway"]))  # wrong


@pipeline
def a_joined_list(text: str):
    return send(" ".join(words(text)))  # wrong


@pipeline
def a_method_of_a_text(city: str):
    return fetch(city.strip())  # wrong


@pipeline
def a_method_of_a_model(city: str):
    return send(fetch(city).summary())  # wrong


@pipeline
def a_dump_of_a_model(city: str):
    return keep(fetch(city).model_dump())  # wrong


@pipeline
def printing(city: str):
    weather = fetch(city)
    print("got", weather)  # wrong
    return publish(weather)


@pipeline
def its_repr_as_a_text(city: str):
    return send("got " + repr(fetch(city)))  # wrong


@pipeline
def json_of_an_order(number: int):
    return send(json.dumps(order(number)))  # wrong


# ----------------------------------------------------------------------------------- numbers and times


@pipeline
def a_sum(number: int):
    return repeat(number + 1)  # wrong


@pipeline
def a_sum_the_other_way_round(number: int):
    return repeat(1 + number)  # wrong


@pipeline
def fahrenheit(city: str):
    return keep(fetch(city).temperature * 1.8 + 32)  # wrong


@pipeline
def a_negative(number: int):
    return repeat(-number)  # wrong


@pipeline
def one_more(number: int):
    total = count("a")
    total += number  # wrong
    return repeat(total)


@pipeline
def a_text_put_together(city: str):
    return send("Weather in " + city)  # wrong


@pipeline
def a_union_of_flags(a: bool, b: bool):
    return keep(a | b)  # wrong


@pipeline
def an_int_of_a_text(text: str):
    return repeat(int(text))  # wrong


@pipeline
def a_float_of_a_number(number: int):
    return keep(float(number))  # wrong


@pipeline
def a_rounded_number(city: str):
    return keep(round(fetch(city).temperature, 1))  # wrong


@pipeline
def an_absolute_number(city: str):
    return keep(abs(fetch(city).temperature))  # wrong


@pipeline
def a_root(number: int):
    return keep(math.sqrt(number))  # wrong


@pipeline
def a_later_time(number: int):
    return keep(order(number).placed + timedelta(days=14))  # wrong


@pipeline
def a_time_in_words(number: int):
    return send(order(number).placed.isoformat())  # wrong


@pipeline
def an_array(numbers: list[float]):
    return keep(numpy.mean(numbers))  # wrong


@pipeline
def an_array_of_one(number: float):
    return keep(numpy.sqrt(number))  # wrong


# ----------------------------------------------------------------------------------- lists and members


@pipeline
def a_length(text: str):
    return repeat(len(words(text)))  # wrong


@pipeline
def a_loop(cities: list[str]):
    return [fetch(city) for city in cities]  # wrong


@pipeline
def a_loop_over_a_step(text: str):
    found = []
    for word in words(text):  # wrong
        found.append(send(word))
    return found


@pipeline
def a_loop_with_numbers(text: str):
    return [send(word) for _, word in enumerate(words(text))]  # wrong


@pipeline
def a_range(times: int):
    return [send("hello") for _ in range(times)]  # wrong


@pipeline
def a_list_repeated(times: int):
    return keep(["hello"] * times)  # wrong


@pipeline
def one_of_a_list(number: int):
    return send(["rain", "sun"][number])  # wrong


@pipeline
def one_of_a_dict(unit: str):
    return send({"C": "Celsius", "F": "Fahrenheit"}[unit])  # wrong


@pipeline
def a_set(city: str):
    return keep({fetch(city), fetch("Oslo")})  # wrong


@pipeline
def unpacking_a_list(text: str):
    first, rest = words(text)  # wrong
    return send(first)


@pipeline
def unpacking_too_few(text: str):
    first, second, third = halves(text)  # wrong
    return send(third)


@pipeline
def unpacking_too_many(text: str):
    (only,) = halves(text)  # wrong
    return send(only)


@pipeline
def unpacking_a_model(city: str):
    name, temperature = fetch(city)  # wrong
    return send(name)


@pipeline
def spread_arguments(options: dict[str, str]):
    return send(**options)  # wrong


@pipeline
def a_copied_dict(options: dict[str, str]):
    return keep({**options, "unit": "C"})  # wrong


@pipeline
def a_slice(text: str):
    return keep(words(text)[:3])  # wrong


@pipeline
def an_item_by_number(text: str, number: int):
    return send(words(text)[number])  # wrong


@pipeline
def sorted_words(text: str):
    return keep(sorted(words(text)))  # wrong


@pipeline
def the_largest_of_a_list(numbers: list[int]):
    return repeat(max(numbers))  # wrong


@pipeline
def a_sum_of_two(city: str):
    return keep(sum([fetch(city).temperature, fetch("Oslo").temperature]))  # wrong


@pipeline
def a_mapped_function(text: str):
    return keep(list(map(send, words(text))))  # wrong


@pipeline
def pairs(text: str):
    return keep(list(zip(words(text), [1, 2, 3])))  # wrong


@pipeline
def a_comparison_as_value(city: str):
    return keep(fetch(city).temperature > 35)  # wrong


# -------------------------------------------------------------------------------------- fields and items


@pipeline
def a_wrong_field(city: str):
    return keep(fetch(city).temprature)  # wrong


@pipeline
def a_wrong_item(city: str):
    return keep(locate(city)["lat"])  # wrong


@pipeline
def an_item_as_a_field(city: str):
    return keep(locate(city).latitude)  # wrong


@pipeline
def a_field_as_an_item(city: str):
    return keep(fetch(city)["temperature"])  # wrong


@pipeline
def a_third_of_two(text: str):
    return send(halves(text)[2])  # wrong


@pipeline
def a_text_as_index(text: str):
    return send(words(text)["first"])  # wrong


@pipeline
def a_field_of_optional(city: str):
    return keep(find(city).temperature)  # wrong


@pipeline
def a_field_of_an_optional_field(city: str):
    return send(fetch(city).alert.text)  # wrong


@pipeline
def a_field_of_a_number(city: str):
    return keep(fetch(city).temperature.celsius)  # wrong


@pipeline
def a_private_field(city: str):
    return keep(fetch(city)._cache)  # wrong


# ---------------------------------------------------------------------------- references taken for values


@pipeline
def calling_a_value(city: str):
    weather = fetch(city)
    return send(weather(city))  # wrong


@pipeline
def setting_a_field(city: str):
    weather = fetch(city)
    weather.city = "Oslo"  # wrong
    return publish(weather)


@pipeline
def setting_an_item(city: str):
    position = locate(city)
    position["latitude"] = 0.0  # wrong
    return keep(position)


@pipeline
def deleting_an_item(city: str):
    position = locate(city)
    del position["latitude"]  # wrong
    return keep(position)


@pipeline
def adding_in_place(city: str):
    weather = fetch(city)
    weather.temperature += 1  # wrong
    return publish(weather)


@pipeline
def appending(text: str):
    found = words(text)
    found.append("end")  # wrong
    return keep(found)


@pipeline
def a_with_statement(city: str):
    with fetch(city) as weather:  # wrong
        return publish(weather)


@pipeline
def a_copy(city: str):
    return publish(copy.copy(fetch(city)))  # wrong


@pipeline
def a_deep_copy(city: str):
    return publish(copy.deepcopy(fetch(city)))  # wrong


@pipeline
def a_pickle(city: str):
    return keep(pickle.dumps(fetch(city)))  # wrong


@pipeline
def a_model_copy(city: str):
    return publish(fetch(city).model_copy(update={"city": "Oslo"}))  # wrong


@pipeline
def a_dataclass_changed(letter: Letter):
    return keep(replace(letter, text="hello"))  # wrong


@pipeline
def a_path(folder: str):
    return send(Path(folder) / "report.txt")  # wrong


@pipeline
def a_joined_path(folder: str):
    return send(os.path.join(folder, "report.txt"))  # wrong


@pipeline
def an_open_file(path: str):
    with open(path) as file:  # wrong
        return send(file.read())


@pipeline
def an_environment_variable(name: str):
    return send(os.environ[name])  # wrong


@pipeline
def a_model_built(city: str):
    return publish(Weather(city=city, temperature=3.0))  # wrong


@pipeline
def a_dataclass_built(city: str):
    return keep(Letter(to=city))  # wrong


@pipeline
def an_awaited_step(city: str):
    return publish(asyncio.run(fetch(city)))  # wrong


# ------------------------------------------------------------------------------------ types, and loops


@pipeline
def asking_for_the_type(value: str | list[str]):
    if isinstance(value, str):  # wrong
        return send(value)
    return keep(value)


@pipeline
def asking_type_itself(value: str | int):
    return keep(value if type(value) is str else 0)  # wrong


@pipeline
def matching_a_class(city: str):
    match fetch(city):
        case Weather(city="Oslo"):  # wrong
            return send("home")
    return send("away")


@pipeline
def matching_a_list(text: str):
    match words(text):
        case [first, *_]:  # wrong
            return send(first)
    return send("nothing")


@pipeline
def matching_a_dict(options: dict[str, str]):
    match options:
        case {"city": city}:  # wrong
            return send(city)
    return send("nothing")


@pipeline
def a_while_loop(number: int):
    while count("a") < number:  # wrong
        number = count("b")
    return repeat(number)


@pipeline  # wrong
def too_many_questions(a: bool, b: bool, c: bool, d: bool, e: bool, f: bool, g: bool):
    wanted = {"rain": a, "sun": b, "snow": c, "wind": d, "hail": e, "fog": f, "frost": g}
    return [send(name) for name, is_wanted in wanted.items() if is_wanted]


def _is_known(value: Any) -> bool:
    return value is not None


@pipeline
def asking_is_in_a_helper(city: str):
    weather = find(city)
    return keep(weather if _is_known(weather) else 0)  # wrong


@pipeline
def a_regular_expression(text: str):
    import re

    return send("digits" if re.match(r"\d+", text) else "words")  # wrong


# -------------------------------------------------------------------------- maps, Static and dynamic bodies


@pipeline
def a_map_of_a_number(times: int):
    return send.map(times)  # wrong


@pipeline
def a_map_of_one_text(cities: list[str], unit: str):
    @step
    def in_unit(city: str, unit: str) -> str: ...

    return in_unit.map(cities, unit)  # wrong


@pipeline
def a_map_of_anything(city: str):
    return send.map(loose(city))  # wrong


@pipeline
def a_map_of_wrong_items(numbers: list[int]):
    return publish.map(numbers)  # wrong


@pipeline
def a_map_of_a_wrong_constant(text: str):
    return keep([count(text), repeat.map([1, "two"])])  # wrong


@pipeline
def a_map_without_a_list(city: str):
    return send.map(unmapped(city))  # wrong


@pipeline
def a_map_of_lists_that_differ(text: str):
    @step
    def pair(number: int, letter: str) -> str: ...

    return keep([text, pair.map([1, 2, 3], ["a", "b"])])  # wrong


@pipeline
def a_map_with_no_room(cities: list[str]):
    return fetch.map(cities, max_concurrency=0)  # wrong


@pipeline
def a_map_as_wide_as_a_reference(cities: list[str], width: int):
    return fetch.map(cities, max_concurrency=width)  # wrong


@pipeline
def a_map_that_is_one_text(cities: list[str]):
    return send(fetch.map(cities))  # wrong


@pipeline
def a_field_of_a_map(cities: list[str]):
    return keep(fetch.map(cities).temperature)  # wrong


@pipeline
def unmapped_in_a_plain_call(city: str):
    return fetch(unmapped(city))  # wrong


@pipeline  # wrong
def a_static_without_a_default(times: Static[int]):
    return keep([send("again", id=f"send_{number}") for number in range(times)])


@pipeline
def a_static_given_a_value_of_the_run(number: int):
    @pipeline
    def several(times: Static[int] = 2):
        return keep([send("again") for _ in range(times)])

    return several(count("a"))  # wrong


@pipeline(dynamic=True)  # wrong
def a_dynamic_body_that_is_not_async(city: str) -> str:
    return fetch(city)


@pipeline(dynamic=True)  # wrong
async def a_dynamic_body_without_a_return(city: str):
    return await fetch(city)


@pipeline
def a_dynamic_pipeline_in_a_body(city: str):
    @pipeline(dynamic=True)
    async def inner(city: str) -> str:
        return await fetch(city)

    return inner(city)  # wrong


# ------------------------------------------------------------------------------------- edges and constants


@pipeline
def a_list_for_a_text(text: str):
    return send(words(text))  # wrong


@pipeline
def a_text_for_a_number(city: str):
    return repeat(fetch(city))  # wrong


@pipeline
def a_parameter_that_never_fits(cities: list[str]):
    return fetch(cities)  # wrong


@pipeline
def none_for_a_text(text: str):
    return keep([words(text), send(None)])  # wrong


@pipeline
def a_word_for_a_number(text: str):
    return keep([count(text), repeat("twice")])  # wrong


@pipeline
def a_lock(city: str):
    return keep([fetch(city), threading.Lock()])  # wrong


@pipeline
def a_client(city: str):
    client = Frame()
    return keep({"city": city, "client": client})  # wrong


@pipeline
def a_function_passed(text: str):
    return keep([text, lambda word: word.upper()])  # wrong


@pipeline
def a_step_passed_without_a_call(text: str):
    return keep(send)  # wrong


@pipeline
def a_generator_passed(text: str):
    return keep(word for word in ["a", text])  # wrong


@pipeline  # wrong
def a_default_that_does_not_fit(city: str = None):
    return fetch(city)


@pipeline  # wrong
def a_default_out_of_bounds(number: Annotated[int, Field(ge=1)] = 0):
    return repeat(number)


@pipeline  # wrong
def a_pattern_that_never_ends(city: Annotated[str, Field(pattern=re.compile("(a+)+$"))]):
    return fetch(city)


class Pattern(BaseModel):
    model_config = ConfigDict(regex_engine="python-re")

    city: Annotated[str, Field(pattern="(a+)+$")]


@pipeline  # wrong
def a_model_with_a_pattern_that_never_ends(pattern: Pattern):
    return keep(pattern)


@pipeline  # wrong
def a_parameter_without_a_schema(frame: Frame):
    return keep(frame)


@pipeline  # wrong
def an_output_without_a_schema(city: str):
    @step
    def table(city: str) -> Frame: ...

    return table(city)


# ------------------------------------------------------------------------------------ signatures and calls


@pipeline
def a_missing_argument(city: str):
    return keep([fetch(city), send()])  # wrong


@pipeline
def an_unknown_argument(city: str):
    return fetch(town=city)  # wrong


@pipeline
def an_argument_too_many(city: str):
    return fetch(city, "Norway")  # wrong


@pipeline
def an_argument_given_twice(city: str):
    return fetch(city, city=city)  # wrong


@pipeline
def the_context_as_an_argument(city: str):
    @step
    def note(city: str, context: StepContext) -> str: ...

    return note(city, context=None)  # wrong


@pipeline  # wrong
def many_arguments(*cities: str):
    return keep(cities)


@pipeline  # wrong
def keyword_arguments(**options: str):
    return keep(options)


@pipeline  # wrong
def a_positional_only_parameter(city: str, /):
    return fetch(city)


@pipeline
def a_step_of_many_arguments(text: str):
    @step  # wrong
    def joined(*texts: str) -> str: ...

    return joined(text, "end")


@pipeline  # wrong
def a_type_under_type_checking(price: Decimal):
    return keep(price)


@pipeline
def a_step_with_an_unknown_type(text: str):
    @step  # wrong
    def price(text: str) -> Decimal: ...

    return price(text)


# --------------------------------------------------------------------------------------- names and order


@pipeline
def an_id_given_twice(city: str):
    first = fetch(city, id="weather")
    return keep([first, fetch("Oslo", id="weather")])  # wrong


@pipeline
def an_id_with_a_slash(city: str):
    return fetch(city, id="weather/oslo")  # wrong


@pipeline
def an_id_made_of_a_reference(city: str):
    return fetch(city, id=city)  # wrong


@pipeline
def an_order_behind_a_parameter(city: str):
    return fetch("Oslo", after=city)  # wrong


@pipeline
def an_order_behind_a_name(city: str):
    fetch(city)
    return send("done", after="fetch")  # wrong


@pipeline
def an_order_behind_a_step(city: str):
    fetch(city)
    return send("done", after=fetch)  # wrong


@pipeline  # wrong
def two_outputs_of_one_name(city: str) -> tuple[Annotated[Weather, "weather"], Annotated[Weather, "weather"]]:
    return fetch(city), fetch("Oslo")


@pipeline
def a_step_with_two_outputs_of_one_name(text: str):
    @step  # wrong
    def split(text: str) -> tuple[Annotated[str, "half"], Annotated[str, "half"]]: ...

    return split(text)


@pipeline  # wrong
def a_number_as_an_output_name(city: str):
    return {1: fetch(city)}


# ------------------------------------------------------------------------------------ the body as a whole


@pipeline  # wrong
def no_step(city: str):
    return city


@pipeline  # wrong
def plain_functions_only(city: str):
    def greet(name: str) -> list[str]:
        return ["hello", name]

    return greet(city)


@pipeline  # wrong
async def an_async_body(city: str):
    return await fetch(city)


@pipeline  # wrong
def a_generator_body(cities: list[str]):
    yield fetch("Oslo")


@pipeline
def a_body_that_calls_itself(city: str):
    fetch(city)
    return a_body_that_calls_itself(city)  # wrong


@pipeline
def two_that_call_each_other(city: str):
    @pipeline
    def other(city: str):
        return two_that_call_each_other(fetch(city).city)  # wrong

    return other(city)


@pipeline
def a_function_without_end(city: str):
    def again(text: str):
        return again(fetch(text).city)  # wrong

    return again(city)


@pipeline
def a_body_that_raises(city: str):
    fetch(city)
    raise ValueError("not today")  # wrong


@pipeline
def a_misspelt_step(city: str):
    return fetsch(city)  # wrong


@pipeline
def a_fault_that_is_caught(text: str):
    try:
        size = len(text)  # wrong
    except Exception:
        size = 0
    return repeat(size)


@pipeline  # wrong
def a_random_number(city: str):
    return keep([fetch(city), random.random()])


_calls: list[str] = []


@pipeline  # wrong
def a_counter(city: str):
    _calls.append("again")
    return keep([fetch(city), len(_calls)])


@pipeline  # wrong
def the_time(city: str):
    return keep([fetch(city), datetime.now().isoformat()])


_kept: dict[str, Any] = {}


@pipeline
def a_reference_kept_in_a_global(city: str):
    if "first" not in _kept:
        _kept["first"] = fetch(city)
    return publish(_kept["first"])  # wrong


@functools.cache
def _cached(name: str) -> Any:
    return fetch(name)


@pipeline
def a_cached_helper(city: str):
    return publish(_cached("Oslo"))  # wrong


@pipeline  # wrong
def an_object_returned(city: str):
    return {"weather": fetch(city), "frame": Frame()}


@pipeline  # wrong
def a_comparison_returned(city: str):
    return fetch(city).temperature > 35


def _load() -> str: ...


@pipeline(on_init=_load)
def _with_a_model(city: str):
    return fetch(city)


@pipeline
def a_pipeline_with_a_state_of_its_own(city: str):
    return _with_a_model(city)  # wrong


@pipeline
def _in_unit(number: int, unit: Literal["C", "F"] = "C"):
    return repeat(number)


@pipeline
def a_pipeline_with_a_wrong_argument(number: int):
    return _in_unit(number, unit="K")  # wrong


@pipeline
def a_pipeline_with_a_wrong_type(text: str):
    return _in_unit(words(text))  # wrong


@pipeline
def a_step_whose_failure_is_caught(city: str):
    try:
        return fetch(city)  # wrong
    except ValueError:
        return fetch("Oslo")


class _Rules:
    @staticmethod
    def missing(value):
        return value is None


@pipeline
def a_method_that_asks_is(note: str | None = None):
    if _Rules.missing(note):  # wrong
        return fetch("Oslo")
    return fetch(note)


def _first(*values):
    return next((value for value in values if value is not None), None)


@pipeline
def the_first_that_is_not_none(city: str | None = None, other: str | None = None):
    return fetch(_first(city, other, "Oslo"))  # wrong


def _is_text(value):
    return type(value) == str  # noqa: E721


@pipeline
def a_helper_that_asks_for_a_type(city: str | int):
    return fetch("Oslo" if _is_text(city) else "Rome")  # wrong
