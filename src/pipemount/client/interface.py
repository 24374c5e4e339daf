"""A pipeline's interface, as the caller's side knows it: how inputs become JSON, and outputs values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError
from pydantic_core import to_json, to_jsonable_python

from ..errors import InvalidInputsError, InvalidOutputsError

if TYPE_CHECKING:
    from ..adapters.protocol import CompiledPipeline
    from ..pipelines.snapshot import Shape

__all__ = ["Interface", "Typed", "Untyped", "interface_of"]


class Interface(Protocol):
    """What is known of the pipeline that is called."""

    def inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """The JSON object of a call's inputs. Raises ``InvalidInputsError``."""
        ...

    def outputs(self, sent: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
        """Outputs by name, and in the shape of the return statement. Raises ``InvalidOutputsError``."""
        ...


def interface_of(pipeline: Any) -> Interface:
    """What ``Client`` was given as ``pipeline``: nothing or a name, or what ``PipelineApp`` takes."""
    if pipeline is None or isinstance(pipeline, str):
        return Untyped()
    from ..adapters.registry import compile

    return Typed(compile(pipeline))


class Untyped:
    """Nothing is known: JSON in, JSON out; the server validates, before anything runs."""

    def inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """Names are needed: in which order they come is not known. Dates, models and the like become JSON."""
        if args:
            raise _fault([0], "Name the inputs: the client does not know their order", "unexpected_positional_argument")
        try:
            return json.dumps(kwargs, allow_nan=False, default=to_jsonable_python, separators=(",", ":")).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise _fault([], f"The inputs cannot be sent as JSON: {error}", "json_type") from None

    def outputs(self, sent: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
        """As they came."""
        return sent, sent


class Typed:
    """The pipeline itself: what it would refuse is not sent, and what it declares comes back."""

    def __init__(self, compiled: CompiledPipeline) -> None:
        self.compiled = compiled
        self._names = list(compiled.input.json_schema().get("properties", ()))
        snapshot = getattr(compiled, "snapshot", None)
        self._shape: Shape = "dict" if snapshot is None else snapshot.shape

    def inputs(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """Validated as in the process; of parameters that are left out the server's defaults hold."""
        return self.compiled.input.write(self.compiled.input.validate(self._bound(args, kwargs)), exclude_unset=True)

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(zip(self._names, args, strict=False))
        if len(args) > len(given):
            raise _fault([len(given)], "Unexpected positional argument", "unexpected_positional_argument")
        if twice := given.keys() & kwargs.keys():
            raise _fault([min(twice)], "Got multiple values for argument", "multiple_argument_values")
        return {**given, **kwargs}

    def outputs(self, sent: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
        """Parsed into the types that the pipeline declares."""
        from ..inprocess import shaped

        try:
            values: Mapping[str, Any] = self.compiled.output.adapter.validate_json(to_json(sent))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors()[:3])
            raise InvalidOutputsError(
                f"the run completed, but its outputs do not fit the types that {self.compiled.info.name!r} declares "
                f"here: {faults}; a client that is given no pipeline takes them as JSON"
            ) from None
        return values, shaped(self._shape, values)


def _fault(loc: list[str | int], msg: str, kind: str) -> InvalidInputsError:
    return InvalidInputsError(errors=[{"loc": loc, "msg": msg, "type": kind}])
