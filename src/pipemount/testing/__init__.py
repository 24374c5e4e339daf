"""For the tests of those who build on pipemount: whether an adapter keeps its promises. Needs no test framework.

Needs the extra ``testing``.
"""

from .conformance import check_adapter
from .findings import ConformanceError, Finding

__all__ = ["ConformanceError", "Finding", "check_adapter"]
