"""What goes to a worker and comes back, without a worker."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pipemount import step
from pipemount.errors import ExecutorError, PipelineError
from pipemount.pipelines.portable import Named
from pipemount.runtime.parcels import Head, opened, packed_error, packed_value, unpacked

pytest.importorskip("cloudpickle", reason="needs what Ray and Dask bring")


class PickyError(Exception):
    def __init__(self, *, number: int) -> None:
        super().__init__(f"{number} is too much")
        self.number = number


class HoldingError(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


def raised(error: BaseException) -> BaseException:
    """What is raised at home where a worker raised ``error``."""
    with pytest.raises(BaseException) as found:  # whatever it is
        opened(packed_error(error), "step")
    return found.value


def test_an_exception_comes_back_as_it_was() -> None:
    found = raised(PickyError(number=7))
    assert isinstance(found, PickyError)
    assert (found.number, str(found)) == (7, "7 is too much")
    purpose = raised(PipelineError("out of stock", status=409, code="no-stock"))
    assert isinstance(purpose, PipelineError)
    assert (purpose.status, purpose.detail_code, str(purpose)) == (409, "no-stock", "out of stock")
    system = raised(FileNotFoundError(2, "no such file", "/etc/nothing"))
    assert isinstance(system, FileNotFoundError)
    assert (system.errno, system.filename) == (2, "/etc/nothing")
    assert isinstance(raised(asyncio.CancelledError()), asyncio.CancelledError)


def test_one_that_cannot_be_sent_is_told_by_its_name() -> None:
    found = raised(HoldingError())
    assert isinstance(found, ExecutorError)
    assert "step 'step' raised HoldingError in a worker" in str(found)
    assert "holds a lock" in found.__notes__[0]


def test_a_value_comes_back_or_is_refused_where_it_was_made() -> None:
    assert opened(packed_value("step", {"a": (1, 2)}), "step") == {"a": (1, 2)}
    with pytest.raises(ExecutorError, match="gave cannot be sent back from its worker, a lock"):
        packed_value("step", threading.Lock())


def test_what_cannot_be_read_at_home_is_no_fault_of_the_step() -> None:
    with pytest.raises(ExecutorError, match="cannot be read here"):
        opened(b"no pickle", "step")


def test_a_worker_without_the_products_code_says_so() -> None:
    @step
    def missing() -> Any:
        return None

    head = Head.of(missing.spec, {})
    assert head.step().function is missing.function
    elsewhere = Head(Named("shop.that.is.not.here", "judge"), "judge", "thread", False, False, 1, None, {})
    with pytest.raises(ExecutorError, match="a worker does not find the function of step 'judge'"):
        elsewhere.step()


def test_a_step_that_is_called_by_another_goes_along() -> None:
    from pipemount.runtime.parcels import pack

    @step
    def local(number: int) -> int:
        return number + 1

    assert unpacked(pack(local))(2) == 3
