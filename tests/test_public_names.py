"""What the package says it exports is what it exports."""

from __future__ import annotations

import importlib
import pkgutil
import types

import pytest
import tests.django.prepared  # noqa: F401  # its models and its admin are imported once it is ready

import pipemount

# Modules of optional hosts are imported like all others: the test environment has every extra.
MODULES = sorted(module.name for module in pkgutil.walk_packages(pipemount.__path__, "pipemount."))


def is_own(module: types.ModuleType, name: str) -> bool:
    """Whether ``name`` is public and was made in ``module``, rather than imported into it."""
    value = vars(module)[name]
    return not name.startswith("_") and getattr(value, "__module__", None) == module.__name__


@pytest.mark.parametrize("name", ["pipemount", *MODULES])
def test_every_exported_name_resolves(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert [missing for missing in exported if not hasattr(module, missing)] == []


@pytest.mark.parametrize("name", ["pipemount", *MODULES])
def test_no_name_is_exported_twice(name: str) -> None:
    exported = list(getattr(importlib.import_module(name), "__all__", []))
    assert len(exported) == len(set(exported))


def test_the_names_that_users_type_are_sorted() -> None:
    assert pipemount.__all__ == sorted(pipemount.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_with_public_classes_or_functions_exports_some(name: str) -> None:
    module = importlib.import_module(name)
    own = [own for own in vars(module) if is_own(module, own)]
    assert not own or hasattr(module, "__all__"), f"{name} defines {own} and has no __all__"
