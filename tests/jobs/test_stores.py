"""What every store of jobs does: one suite, over all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.stores import STORES

from pipemount import Settings
from pipemount.jobs.store import Store
from pipemount.testing.stores import StoreContract


class TestStores(StoreContract):
    @pytest.fixture(params=STORES)
    def make_store(self, request: pytest.FixtureRequest) -> Callable[[Settings], Store]:
        return STORES[request.param]
