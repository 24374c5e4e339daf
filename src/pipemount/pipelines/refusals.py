"""What a reference refuses, by the method that Python calls of it: the operation, the reason, the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["METHODS", "REFUSED", "UNKNOWN", "Refusal", "as_written"]

UNKNOWN = "its value is known in a run only, and the body runs once, at compile"

_OPERAND = "`{}` is known in a run only, and the body runs once, at compile"
_COMPUTE = "Compute it inside a step and return the result"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal; in its sentences ``{}`` is the reference, and ``{written}`` what the author wrote."""

    code: str
    operation: str
    reason: str
    way_out: str


REFUSED = {
    "type": Refusal(
        "type-of-reference",
        "the body asks for the type of `{}` (`isinstance()`, a class in `match`)",
        UNKNOWN,
        "Compare values (`==`, `in`, `is None`), or decide inside a step",
    ),
    "text": Refusal(
        "text-of-reference",
        "`{}` is made into text (an f-string, `str()`, `format()`, `%`, `print()`)",
        UNKNOWN,
        "Build the text inside a step, which gets the value",
    ),
    "path": Refusal(
        "text-of-reference",
        "`{}` is used as a path",
        UNKNOWN,
        "Make the path and use it inside a step, which gets the value",
    ),
    "number": Refusal("number-of-reference", "`{written}` is computed", _OPERAND, _COMPUTE),
    "index": Refusal(
        "index-by-reference",
        "`{}` is used where a whole number is needed (`range()`, an index, `open()`)",
        UNKNOWN,
        "Do it inside a step; `step.map(items)` calls a step for every item of a list, and a parameter annotated "
        "`Static[int]` is a plain number in the body",
    ),
    "arithmetic": Refusal("operator-on-reference", "`{written}` is computed", _OPERAND, _COMPUTE),
    "bits": Refusal(
        "operator-on-reference",
        "`{written}` is computed",
        _OPERAND,
        "Write `and`, `or` and `not` in conditions; compute everything else inside a step",
    ),
    "len": Refusal(
        "len-of-reference",
        "`len({})` is asked",
        UNKNOWN,
        "Count inside a step and return the number; whether there is anything at all, `if {}:` asks",
    ),
    "iterate": Refusal(
        "iterate-reference",
        "`{}` is looped over or unpacked",
        "how many items it has is known in a run only",
        "Call a step for each with `step.map({})`, or loop inside a step that takes the whole value; only what is "
        "annotated as a tuple of fixed length can be unpacked",
    ),
    "hash": Refusal(
        "hash-of-reference",
        "`{}` is used as a dict key or set member",
        UNKNOWN,
        "Keep references in a list or as the values of a dict; to choose by a value, branch on it (`if {} == …`) "
        "or look it up inside a step",
    ),
    "await": Refusal(
        "await-reference",
        "`{}` is awaited",
        "the body is not asynchronous; the run awaits async steps itself",
        "Leave out the `await`: the step call is already the value to pass on",
    ),
    "call": Refusal(
        "call-reference",
        "`{}` is called",
        "it is a value of the run, not a function",
        "Call it inside a step, or decorate the function with @step",
    ),
    "assign": Refusal(
        "assign-to-reference",
        "the body changes `{written}`",
        "steps hand values over by reference and none of them would see the change",
        "Return a changed copy from a step",
    ),
    "with": Refusal(
        "with-reference", "`{}` is used in a `with` statement", UNKNOWN, "Open and close it inside one step"
    ),
    "copy": Refusal(
        "copy-reference",
        "`{}` is copied or pickled",
        "it is a place in the graph, not a value",
        "Pass it on as it is; copy the value inside a step",
    ),
    "array": Refusal(
        "reference-as-value",
        "`{}` is handed to numpy or to what is built on it",
        UNKNOWN,
        "Do it inside a step, which gets the value",
    ),
    "private": Refusal(
        "unknown-field",
        "`{written}` is read",
        "names that begin with an underscore are private to the value",
        "Read it inside a step, which gets the value",
    ),
}
"""Every kind of refusal by its name."""

_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "matmul": "@",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "or": "|",
    "xor": "^",
}
_SIGNED = {"neg": "-{}", "pos": "+{}", "invert": "~{}"}
_CHANGES = {"setattr": "{}.{}", "delattr": "{}.{}", "getattr": "{}.{}", "setitem": "{}[{}]", "delitem": "{}[{}]"}
_BITS = "and or xor invert rand ror rxor"

METHODS = {
    f"__{name}__": kind
    for kind, names in {
        "text": "str format bytes",
        "path": "fspath",
        "number": "int float complex round trunc floor ceil",
        "index": "index",
        "arithmetic": f"neg pos abs divmod rdivmod {' '.join(_SIGNS)} {' '.join(f'r{name}' for name in _SIGNS)}",
        "bits": _BITS,
        "iterate": "next aiter anext reversed",
        "hash": "hash",
        "await": "await",
        "assign": "setitem delitem",
        "with": "enter exit aenter aexit",
        "copy": "copy deepcopy reduce_ex reduce getstate",
        "array": "array array_ufunc array_function",
    }.items()
    for name in names.split()
}
"""Methods that do nothing but refuse, and the kind of each."""


def as_written(method: str, label: str, arguments: Sequence[str]) -> str:
    """What an author wrote to have ``method`` called, e.g. ``1 + number`` for ``__radd__``."""
    name = method.strip("_")
    if name in _SIGNS:
        return f"{label} {_SIGNS[name]} {arguments[0]}"
    if name[:1] == "r" and name[1:] in _SIGNS:
        return f"{arguments[0]} {_SIGNS[name[1:]]} {label}"
    if name in _SIGNED:
        return _SIGNED[name].format(label)
    if name in _CHANGES:
        return _CHANGES[name].format(label, arguments[0])
    if name == "rdivmod":
        return f"divmod({arguments[0]}, {label})"
    return f"{name}({', '.join((label, *arguments))})"
