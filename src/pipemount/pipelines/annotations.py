"""Reading a function's signature: its parameters, and its outputs with their names and types."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, get_args, get_origin

from pydantic.fields import FieldInfo

from ..errors import CompileError
from .places import enclosing_frames, function_place, underlying
from .specs import OutputField, ParameterField

__all__ = [
    "NONE",
    "Signature",
    "describe",
    "local_names",
    "members",
    "output_fields",
    "plain",
    "read_signature",
]

NONE = type(None)

Names: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function declares.

    Attributes:
        parameters: In order, the context parameter left out.
        context_parameter: Name of the parameter that takes the step context.
        returns: The return annotation; of generators the type of their output.
        collects: Whether a generator's output is the list of all it yields: async ones, and those whose annotation
            names no return value.
        yields: The type of what a generator yields.
        call: For binding arguments; has no context parameter.
        all_positional: Whether each of its arguments may be given by position.
    """

    parameters: tuple[ParameterField, ...]
    context_parameter: str | None
    returns: Any
    collects: bool
    yields: Any
    call: inspect.Signature
    all_positional: bool

    def __str__(self) -> str:
        texts = (
            f"{p.name}: {describe(p.annotation)}" + ("" if p.required else f" = {p.default!r}") for p in self.parameters
        )
        return f"({', '.join(texts)})"


# ---------------------------------------------------------------------------------------- signatures


def local_names(function: Callable[..., Any]) -> Names:
    """Names of the enclosing function that postponed annotations use; empty for module-level functions.

    Must be called while the enclosing function still runs, that is by the decorator.
    """
    target = underlying(function)
    annotations = getattr(target, "__annotations__", {})
    texts = [text for text in annotations.values() if isinstance(text, str)]
    if not texts or "<locals>" not in getattr(target, "__qualname__", ""):
        return {}
    used = {name for text in texts for name in _names_in(text)}
    frames = enclosing_frames(target)
    return {name: value for frame in frames for name, value in frame.f_locals.items() if name in used}


def _names_in(text: str) -> tuple[str, ...]:
    try:
        return compile(text, "<annotation>", "eval").co_names
    except SyntaxError:
        return ()


def read_signature(function: Callable[..., Any], names: Names, *, what: str) -> Signature:
    """The signature of ``function`` with its annotations resolved. Raises ``CompileError``."""
    signature = _inspected(function, what)
    hints = _hints(function, names, what)
    context: str | None = None
    fields, kept = [], []
    for parameter in signature.parameters.values():
        _refuse_kind(parameter, function, what)
        annotation = hints.get(parameter.name, Any)
        if is_context(annotation):
            context = parameter.name
            continue
        fields.append(_field(parameter, annotation))
        kept.append(parameter)
    returns, collects, yields = _returned(function, hints.get("return", Any))
    positional = all(parameter.kind is not parameter.KEYWORD_ONLY for parameter in kept)
    return Signature(tuple(fields), context, returns, collects, yields, signature.replace(parameters=kept), positional)


def _inspected(function: Callable[..., Any], what: str) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        place = function_place(function)
        raise CompileError(
            code="no-signature",
            operation=f"the parameters of {what} cannot be read",
            reason=str(error),
            way_out="Write a function with named parameters around it",
            file=place.file,
            line=place.line,
        ) from error


def _hints(function: Callable[..., Any], names: Names, what: str) -> dict[str, Any]:
    target = underlying(function)
    code, cells = getattr(target, "__code__", None), getattr(target, "__closure__", None)
    free = dict(zip(code.co_freevars, cells, strict=True)) if code and cells else {}
    closure = {name: cell.cell_contents for name, cell in free.items() if _is_filled(cell)}
    try:
        return typing.get_type_hints(target, localns={**names, **closure}, include_extras=True)
    except Exception as error:  # annotations are code of the author's: anything can happen in them
        place = function_place(function)
        raise CompileError(
            code="unresolved-annotation",
            operation=f"the annotations of {what} cannot be read",
            reason=f"{type(error).__name__}: {error}",
            way_out="Import the type where the function can see it at run time, not only under TYPE_CHECKING",
            file=place.file,
            line=place.line,
        ) from error


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not NotImplemented
    except ValueError:
        return False


def _refuse_kind(parameter: inspect.Parameter, function: Callable[..., Any], what: str) -> None:
    if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        return
    place = function_place(function)
    positional = parameter.kind is parameter.POSITIONAL_ONLY
    raise CompileError(
        code="positional-only-parameter" if positional else "variadic-parameter",
        operation=f"{what} declares the parameter `{_STARS.get(parameter.kind, '')}{parameter.name}`",
        reason="values are handed over by name" if positional else "its inputs must be known and named",
        way_out="Leave out the `/`" if positional else "Name each parameter, or take one list or dict",
        file=place.file,
        line=place.line,
    )


_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def _field(parameter: inspect.Parameter, annotation: Any) -> ParameterField:
    default = parameter.default
    if isinstance(default, FieldInfo):
        annotation, default = _split_field(annotation, default)
    required = default is inspect.Parameter.empty
    return ParameterField(parameter.name, parameter.name, annotation, required, None if required else default)


def _split_field(annotation: Any, info: FieldInfo) -> tuple[Any, Any]:
    """``x: T = Field(default, …)`` as ``x: Annotated[T, …] = default``."""
    annotated = Annotated[annotation, info]
    if info.is_required():
        return annotated, inspect.Parameter.empty
    return annotated, info.get_default(call_default_factory=True)


def is_context(annotation: Any) -> bool:
    """Whether a parameter annotated so takes the step context."""
    return any(getattr(member, "__pipemount_context__", False) is True for member in members(annotation))


# -------------------------------------------------------------------------------------------- outputs


def _returned(function: Callable[..., Any], annotation: Any) -> tuple[Any, bool, Any]:
    """The type of what comes out, whether it is the list of all that is yielded, and the type of what is."""
    target = underlying(function)
    if not (inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)):
        return annotation, False, Any
    name, inner = output_name(annotation)
    arguments = get_args(plain(inner))
    yields = arguments[0] if arguments else Any
    if len(arguments) == 3 and arguments[2] not in (None, NONE):
        output, collects = arguments[2], False
    else:
        output, collects = list[yields], True  # type: ignore[valid-type]  # made at run time
    return (Annotated[output, name] if name else output), collects, yields


def output_fields(annotation: Any) -> tuple[OutputField, ...]:
    """The outputs that a return annotation declares: one, or several for a tuple of fixed length."""
    parts = get_args(annotation)
    several = get_origin(annotation) is tuple and parts and parts[-1] is not Ellipsis
    if not several:
        return (_output(annotation, "output"),)
    return tuple(_output(part, f"output_{index}") for index, part in enumerate(parts))


def _output(annotation: Any, unnamed: str) -> OutputField:
    name, annotation = output_name(annotation)
    return OutputField(name or unnamed, annotation)


def output_name(annotation: Any) -> tuple[str | None, Any]:
    """The name in ``Annotated[T, "name"]``, and the type without it; other metadata stays."""
    if get_origin(annotation) is not Annotated:
        return None, annotation
    inner, *metadata = get_args(annotation)
    name = next((item for item in metadata if isinstance(item, str)), None)
    rest = tuple(item for item in metadata if not isinstance(item, str))
    return name, Annotated[(inner, *rest)] if rest else inner


# ---------------------------------------------------------------------------------------------- types


def plain(annotation: Any) -> Any:
    """``annotation`` without what wraps it: ``Annotated``, ``Required``, ``NewType``, ``type`` aliases."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated or getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly", "Final"):
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = _aliased(annotation)
        elif type(origin).__name__ == "TypeAliasType":
            annotation = _filled(origin, get_args(annotation))
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or _constraints(annotation)
        else:
            return NONE if annotation is None else annotation


def _constraints(variable: typing.TypeVar) -> Any:
    """The types that a variable is limited to, as a union."""
    return typing.Union[variable.__constraints__] if variable.__constraints__ else Any  # noqa: UP007 (at run time)


def _aliased(alias: Any) -> Any:
    """What an alias stands for; before Python 3.12 one that contains itself is written as text."""
    stated = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    try:
        return typing.get_type_hints(stated, vars(sys.modules[alias.__module__]), include_extras=True)["value"]
    except (NameError, KeyError):
        return alias.__value__


def _filled(alias: Any, parts: tuple[Any, ...]) -> Any:
    """What an alias with parameters stands for where they are given."""
    given = dict(zip(alias.__type_params__, parts, strict=False))
    meant = _aliased(alias)
    wanted = tuple(given.get(parameter, Any) for parameter in getattr(meant, "__parameters__", ()))
    return meant[wanted] if wanted else meant


def members(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, flattened; any other type alone."""
    bare = plain(annotation)
    if get_origin(bare) not in (typing.Union, types.UnionType):
        return (bare,)
    return tuple(member for part in get_args(bare) for member in members(part))


def describe(annotation: Any) -> str:
    """``annotation`` as an author would write it."""
    if get_origin(annotation) is Annotated:
        return describe(get_args(annotation)[0])
    if annotation is NONE:
        return "None"
    if annotation is Ellipsis:
        return "..."
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(describe(part) for part in parts)
    if isinstance(origin, type) and parts and not any(isinstance(part, list) for part in parts):
        return f"{origin.__name__}[{', '.join(describe(part) for part in parts)}]"
    if isinstance(annotation, type) and not parts:
        return annotation.__name__
    return str(annotation).replace("typing.", "")
