"""Which codec a type has, and who may bring one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from pipemount import Codec, codec_for, register_codec
from pipemount.errors import CompileError, ConfigurationError
from pipemount.pipelines.authoring import compile_function
from pipemount.pipelines.codecs import coded, registry
from pipemount.pipelines.edges import fit

T = TypeVar("T")


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


class Euro(Money): ...


class Grid(Generic[T]):
    def __init__(self, cells: list[T]) -> None:
        self.cells = cells


MONEY = Codec(int, Money, lambda money: money.cents)


@pytest.fixture(autouse=True)
def unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_installed", {})


def grid(annotation: Any) -> Codec | None:
    parts = get_args(annotation)
    return Codec(list[parts[0]], Grid, lambda grid: grid.cells) if parts else None  # type: ignore[valid-type]


def pays(price: Money) -> Money:
    return price


def test_a_registered_codec_is_used_wherever_the_type_is() -> None:
    with pytest.raises(CompileError, match="or give the type a codec"):
        compile_function(pays)

    register_codec(Money, MONEY)
    snapshot = compile_function(pays)
    assert snapshot.input.validate({"price": 250}).price.cents == 250
    assert snapshot.output.dump_json({"output": Money(3)}) == b'{"output":3}'
    assert snapshot.input.json_schema()["properties"]["price"]["type"] == "integer"


def test_the_nearest_class_decides() -> None:
    register_codec(Money, MONEY)
    assert codec_for(Euro) is codec_for(Money) is MONEY
    euro = Codec(str, Euro, str)
    register_codec(Euro, euro)
    assert codec_for(Euro) is euro
    assert codec_for(Annotated[Euro, "name"]) is euro


def test_a_codec_may_be_made_of_the_annotation() -> None:
    register_codec(Grid, grid)
    assert codec_for(Grid) is None
    assert TypeAdapter(coded(Grid[int])).validate_python(["1"]).cells == [1]


def test_what_is_no_class_has_no_codec() -> None:
    assert codec_for(int | None) is None
    assert codec_for(list[int]) is None


def test_a_type_that_tells_pydantic_itself_keeps_to_that() -> None:
    import numpy as np

    class Own(np.ndarray[Any, Any]):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            return handler.generate_schema(int)

    assert codec_for(Own) is None
    register_codec(Own, MONEY)
    assert codec_for(Own) is MONEY


# ----------------------------------------------------------------------------------------- the value


def test_a_codec_in_an_annotation() -> None:
    ratio = Annotated[Fraction, Codec(tuple[int, int], lambda pair: Fraction(*pair), Fraction.as_integer_ratio)]
    adapter: TypeAdapter[Any] = TypeAdapter(coded(ratio | None))
    assert adapter.validate_python([1, 2]) == Fraction(1, 2)
    with pytest.raises(ValidationError, match=r"Input cannot be read as Fraction: Fraction\(1, 0\)"):
        TypeAdapter(ratio).validate_python([1, 0])
    assert fit(Fraction, ratio) == "ok"
    assert fit(str, ratio) == "coerce"  # pydantic reads fractions in texts
    assert fit(dict[str, int], Annotated[Money, MONEY]) == "never"
    assert fit(str, Annotated[Money, MONEY]) == "coerce"
    assert fit(Money, Annotated[Money, MONEY]) == "ok"


def test_a_schema_may_be_json() -> None:
    codec = Codec({"type": "string", "format": "money"}, lambda text: Money(int(text)), lambda money: str(money.cents))
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Money, codec])
    assert adapter.json_schema() == adapter.json_schema(mode="serialization") == {"type": "string", "format": "money"}
    assert adapter.validate_python("3").cents == 3
    with pytest.raises(ValidationError, match="Input cannot be read as Money: invalid literal"):
        adapter.validate_python("x")
    assert fit(int, Annotated[Money, codec]) == "coerce"


def raises(error: Exception) -> Any:
    def decode(value: Any) -> Any:
        raise error

    return decode


@pytest.mark.parametrize("error", [ValueError(), TypeError(), KeyError(), ZeroDivisionError()])
def test_a_reason_is_told_even_where_the_error_has_none(error: Exception) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[Money, Codec(Any, raises(error), str)]).validate_python(1)
    fault = caught.value.errors()[0]
    assert (fault["type"], fault["msg"]) == (
        "not_decodable",
        f"Input cannot be read as Money: {type(error).__name__}",
    )


def test_a_value_of_the_type_is_checked_where_the_codec_says_how() -> None:
    def positive(money: Money) -> Money:
        if money.cents < 0:
            raise ValueError("a debt")
        return money

    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Money, Codec(int, Money, lambda money: money.cents, positive)])
    money = Money(3)
    assert adapter.validate_python(money) is money
    with pytest.raises(ValidationError, match="Input cannot be read as Money: a debt"):
        adapter.validate_python(Money(-1))


# --------------------------------------------------------------------------------------- entry points

BANK = """
class Coin:
    def __init__(self, cents):
        self.cents = cents

class Note:
    pass
"""
CODECS = """
from pipemount import Codec
from bank import Coin

coin = Codec(int, Coin, lambda coin: coin.cents)
"""


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A library, and a package that brings codecs for it, as an installer leaves them."""
    (tmp_path / "bank.py").write_text(BANK)
    (tmp_path / "bank_codecs.py").write_text(CODECS)
    info = tmp_path / "bank_codecs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bank-codecs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pipemount.codecs]\nbank.Coin = bank_codecs:coin\nbank.Note = no_such_module:note\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import bank  # type: ignore[import-not-found]  # written above

    yield bank
    for name in ("bank", "bank_codecs"):
        sys.modules.pop(name, None)


def taking(annotation: Any) -> Any:
    def take(value: Any) -> int:
        return 1

    take.__annotations__ = {"value": annotation, "return": int}
    return take


def test_an_installed_codec_is_loaded_where_a_type_has_none(bank: Any) -> None:
    compile_function(taking(list[int]))
    assert "bank_codecs" not in sys.modules

    snapshot = compile_function(taking(dict[str, list[bank.Coin] | None]))
    assert snapshot.input.validate({"value": {"a": [5]}}).value["a"][0].cents == 5


def test_an_installed_codec_is_found_in_the_fields_of_a_dataclass(bank: Any) -> None:
    @dataclass
    class Purse:
        coin: Any

    Purse.__annotations__["coin"] = bank.Coin
    Purse.__dataclass_fields__["coin"].type = bank.Coin
    assert compile_function(taking(Purse)).input.validate({"value": {"coin": 5}}).value.coin.cents == 5


def test_an_installed_codec_that_cannot_be_loaded_is_told(bank: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"the codec 'bank.Note' \(no_such_module:note\) cannot be loaded"):
        compile_function(taking(bank.Note))
