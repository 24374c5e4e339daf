"""Who is next."""

from __future__ import annotations

from pipemount.runtime.line import Line


def any_of_them(item: str) -> bool:
    return True


def taken(line: Line[str], count: int) -> list[str | None]:
    return [line.take(any_of_them) for _ in range(count)]


def line_of(*items: str) -> Line[str]:
    """``a1x``: the caller ``a``, an item of the kind ``x``."""
    line: Line[str] = Line()
    for item in items:
        line.append(item[0], item[2], item)
    return line


def test_callers_have_turns_and_each_ones_items_their_order() -> None:
    line = line_of("a1x", "a2x", "a3x", "b1x", "b2x", "c1x")

    assert taken(line, 7) == ["a1x", "b1x", "c1x", "a2x", "b2x", "a3x", None]


def test_of_one_caller_the_oldest_of_any_kind_is_next() -> None:
    assert taken(line_of("a1x", "a2y", "a3x"), 3) == ["a1x", "a2y", "a3x"]


def test_what_does_not_fit_is_passed_over_and_keeps_its_turn() -> None:
    line = line_of("a1x", "a2y", "b1x")

    assert line.take(lambda item: item[2] == "y") == "a2y"
    assert line.take(lambda item: item[2] == "y") is None
    assert taken(line, 3) == ["b1x", "a1x", None]


def test_only_the_first_of_a_kind_is_asked() -> None:
    line, asked = line_of(*(f"a{number}x" for number in range(5))), []

    def fits(item: str) -> bool:
        asked.append(item)
        return False

    assert line.take(fits) is None
    assert asked == ["a0x"]


def test_who_leaves_is_forgotten() -> None:
    line = line_of("a1x", "a2x", "b1x")

    assert not line.remove("d", "x", "d1x")
    assert line.remove("a", "x", "a1x")
    assert not line.remove("a", "x", "a1x")
    assert taken(line, 3) == ["a2x", "b1x", None]
