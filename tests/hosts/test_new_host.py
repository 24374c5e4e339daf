"""The host that the documentation adds from outside keeps every clause that applies to it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pipemount.testing.hosts import CLAUSES, SERVERS, Pair, find_host, run_pair

PAGE = Path(__file__).parents[2] / "docs" / "other-hosts.md"
CLASS = re.compile(r'```python title="my_host.py"\n(.*?)```', re.DOTALL)


@pytest.mark.server
@pytest.mark.full
def test_the_host_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = CLASS.findall(PAGE.read_text())
    (tmp_path / "documented_host.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "documented_host", raising=False)
    host = find_host("documented_host:MyHost")
    pair = Pair(host, host.forms()["wrap"], SERVERS["uvicorn"])
    outcomes = list(run_pair(pair, tmp_path / "runs"))
    assert {outcome.clause.name: outcome.failure for outcome in outcomes if outcome.failure} == {}
    assert len(outcomes) > len(CLAUSES) / 2
