"""Bodies rewritten so that a reference hears what Python asks nobody about: ``is``, ``in`` and ``case None``.

The operators become calls of ``Hook``; all else stays, down to file and line. The function is made anew from its
source, with its own globals, defaults and closure, and the author's is left alone.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

from .places import Place
from .references import Reference, Same, ask
from .tracing import refuse

__all__ = ["asks_identity", "listening", "source_lines"]

_HOOK = "__pipemount__"
_OUTER = "__pipemount_outer__"
_FUTURE = 0x1FF0000
"""The bits of ``co_flags`` that ``from __future__`` sets."""


class Hook:
    """What the operators of a rewritten body call."""

    none, true, false = Same(None), Same(True), Same(False)

    @staticmethod
    def identical(left: Any, right: Any, *, negated: bool) -> Any:
        """``left is right``."""
        if _is_reference(left):
            return ask("is", left, right, negated=negated)
        if _is_reference(right):
            return ask("is", right, left, negated=negated)
        return (left is right) is not negated

    @staticmethod
    def contained(item: Any, container: Any, *, negated: bool) -> Any:
        """``item in container``."""
        if _is_reference(item) and not _is_reference(container):
            return ask("in", item, container, negated=negated)
        return (item in container) is not negated


def _is_reference(value: object) -> bool:
    """Whether ``value`` is a reference, asked so that it is not told."""
    return issubclass(type(value), Reference)


def asks_identity(code: CodeType) -> bool:
    """Whether a body, or a function in it, asks ``is`` or ``in``."""
    names = ("IS_OP", "CONTAINS_OP")
    found = (i.opname in names or i.opname.endswith(("_NONE", "_NOT_NONE")) for i in dis.get_instructions(code))
    return any(found) or any(asks_identity(inner) for inner in _inner(code))


def _inner(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant


def source_lines(function: Callable[..., Any]) -> str | None:
    """The text of a function, decorators included, as far as ``listening`` needs it; ``None`` where there is none.

    Reads the function's file: for decorators, which run at import, and not for the compiler.
    """
    if not isinstance(function, FunctionType) or not asks_identity(function.__code__):
        return None
    lines = linecache.getlines(function.__code__.co_filename, function.__globals__)
    try:
        return "".join(inspect.getblock(lines[function.__code__.co_firstlineno - 1 :])) or None
    except (SyntaxError, IndexError):
        return None


def listening(function: Callable[..., Any], text: str | None, name: str) -> Callable[..., Any]:
    """``function`` as it is traced. Raises ``CompileError`` where it asks ``is`` and has no source."""
    if not isinstance(function, FunctionType) or not asks_identity(function.__code__):
        return function
    code = function.__code__
    if text is None or (made := _rewritten(function, text)) is None:
        refuse(
            "no-source",
            f"the body of {name!r} asks `is` or `in`, and its source cannot be read",
            "a value of the run cannot be asked for identity but through the body's source",
            "Compare with `==`, which works without source as well, or define the pipeline in a file",
            Place(code.co_filename, code.co_firstlineno),
        )
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True)) | {_HOOK: CellType(Hook)}
    closure = tuple(cells[free] for free in made.co_freevars)
    copy = FunctionType(made, function.__globals__, function.__name__, function.__defaults__, closure)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _rewritten(function: FunctionType, text: str) -> CodeType | None:
    code = function.__code__
    try:
        module = ast.parse(f"if 1:\n{text}" if text[:1].isspace() else text)
    except SyntaxError:
        return None
    inside = module.body[0].body[0] if isinstance(module.body[0], ast.If) else module.body[0]
    if not isinstance(inside, ast.FunctionDef) or inside.name != function.__name__:
        return None
    shift = code.co_firstlineno - (2 if text[:1].isspace() else 1)
    body = ast.increment_lineno(_Rewriter().visit(_bare(inside)), shift)
    outer = _outer(body, (_HOOK, *code.co_freevars))
    compiled = compile(outer, code.co_filename, "exec", flags=code.co_flags & _FUTURE, dont_inherit=True)
    made = next(c for c in compiled.co_consts if isinstance(c, CodeType))
    return next(c for c in made.co_consts if isinstance(c, CodeType) and c.co_name == function.__name__)


def _bare(function: ast.FunctionDef) -> ast.FunctionDef:
    """Without what runs when a function is defined: it is not defined, only compiled."""
    function.decorator_list, function.returns = [], None
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    nothing = ast.copy_location(ast.Constant(None), function)
    arguments.defaults = [nothing for _ in arguments.defaults]
    arguments.kw_defaults = [d and nothing for d in arguments.kw_defaults]
    if hasattr(function, "type_params"):
        function.type_params = []
    return function


def _outer(body: ast.FunctionDef, names: tuple[str, ...]) -> ast.Module:
    """A module with a function around ``body`` whose parameters are what is free in it."""
    module = ast.parse(f"def {_OUTER}({', '.join(names)}):\n    pass")
    outer: Any = module.body[0]
    outer.body = [body]
    return ast.fix_missing_locations(module)


class _Rewriter(ast.NodeTransformer):
    """``a is b`` → ``__pipemount__.identical(a, b, negated=False)``, ``in`` likewise, ``case None`` → a value."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """A comparison; a chain that asks is taken apart, each operand being computed once as before."""
        self.generic_visit(node)
        if not any(isinstance(op, _ASKING) for op in node.ops):
            return node
        left, parts = node.left, []
        for number, (op, operand) in enumerate(zip(node.ops, node.comparators, strict=True)):
            name = f"__pipemount_{number}__"
            last = number == len(node.ops) - 1
            right = operand if last else ast.NamedExpr(ast.Name(name, ast.Store()), operand)
            parts.append(_compared(left, op, right))
            left = ast.Name(name, ast.Load())
        return _located(parts[0] if len(parts) == 1 else ast.BoolOp(ast.And(), parts), node)

    def visit_MatchSingleton(self, node: ast.MatchSingleton) -> ast.AST:
        """``case None``, ``case True`` and ``case False``."""
        return _located(ast.MatchValue(_hook(str(node.value).lower())), node)


_ASKING = (ast.Is, ast.IsNot, ast.In, ast.NotIn)


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr:
    if not isinstance(op, _ASKING):
        return ast.Compare(left, [op], [right])
    method = "identical" if isinstance(op, ast.Is | ast.IsNot) else "contained"
    negated = ast.Constant(isinstance(op, ast.IsNot | ast.NotIn))
    return ast.Call(_hook(method), [left, right], [ast.keyword("negated", negated)])


def _hook(name: str) -> ast.Attribute:
    return ast.Attribute(ast.Name(_HOOK, ast.Load()), name, ast.Load())


def _located(made: Any, node: ast.AST) -> ast.AST:
    """``made`` and all new nodes in it where ``node`` is."""
    for inner in ast.walk(made):
        if "lineno" in inner._attributes and not hasattr(inner, "lineno"):
            ast.copy_location(inner, node)
    return made  # type: ignore[no-any-return]  # an AST node
