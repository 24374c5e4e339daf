"""The root of all errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

__all__ = ["DOCS_URL", "PipemountError"]

DOCS_URL = "https://pipemount.readthedocs.io/en/stable/errors/"


class PipemountError(Exception):
    """The root of the tree. ``str(error)`` is a sentence that names the way out."""

    code: ClassVar[str] = "pipemount-error"
    title: ClassVar[str] = "Pipemount error"
    status: int = 500

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "title" not in vars(cls):
            cls.title = cls.code.replace("-", " ").capitalize()

    headers: Mapping[str, str] = MappingProxyType({})
    """Response headers that this error asks for, beside those of any problem document."""

    problem: Mapping[str, Any] | None = None
    """The problem document that told a client of this error; ``None`` where it was raised in this process."""

    @property
    def extensions(self) -> Mapping[str, Any]:
        """Members that this error adds to its problem document (RFC 9457, section 3.2)."""
        return {}

    @property
    def docs_url(self) -> str:
        """The page that explains this error; the ``type`` of its problem document."""
        return DOCS_URL + self.code
