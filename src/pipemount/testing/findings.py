"""What a check found, and the error that tells all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ConformanceError", "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that is not kept.

    Attributes:
        check: What was looked at, e.g. ``"graph"``.
        problem: What is wrong, as a sentence without its full stop.
        way_out: What to do about it, as a sentence without its full stop.
    """

    check: str
    problem: str
    way_out: str

    def __str__(self) -> str:
        return f"{self.check}: {self.problem}. {self.way_out}."


class ConformanceError(AssertionError):
    """A pipeline does not keep the protocol. Its message tells every finding.

    Args:
        name: Of the pipeline.
        findings: What is wrong, in the order in which it was looked at.
    """

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        lines = "".join(f"\n- {finding}" for finding in findings)
        super().__init__(f"{name!r} does not keep the protocol of compiled pipelines:{lines}")
        self.findings = tuple(findings)
