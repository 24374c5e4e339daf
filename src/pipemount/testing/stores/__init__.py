"""What every store of jobs does, as one suite: for those of this package, and for one of your own.

With pytest and pytest-asyncio (``asyncio_mode = "auto"``)::

    from pipemount.testing.stores import StoreContract

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda settings: MyStore(tmp_path / "jobs", settings)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from ...jobs.store import Store
from ...settings import Settings
from .asking import Open
from .attempts import Attempts
from .expiring import Expiring
from .forgetting import Forgetting
from .leases import Leases
from .once import Once
from .reading import Reading
from .records import Records
from .suspending import Suspending
from .unclaimed import Unclaimed

__all__ = ["StoreContract"]


class StoreContract(Records, Leases, Attempts, Suspending, Expiring, Unclaimed, Reading, Forgetting, Once):
    """Tests of a store: derive from it, and say by the fixture ``make_store`` how one is made."""

    @pytest.fixture
    def make_store(self) -> Callable[[Settings], Store]:
        """Makes a store that nothing is in; it is opened and closed by the tests."""
        raise NotImplementedError("define the fixture make_store: a function of Settings that makes a store")

    @pytest.fixture
    async def open_store(self, make_store: Callable[[Settings], Store]) -> AsyncIterator[Open]:
        """Opens a store with the settings that it is given; it is closed at the end."""
        opened: list[Store] = []

        async def open_store(**settings: Any) -> Store:
            opened.append(make_store(Settings(**settings)))
            await opened[-1].open()
            return opened[-1]

        yield open_store
        for store in opened:
            await store.close()

    @pytest.fixture
    async def store(self, open_store: Open) -> Store:
        """One with the settings that apps have by default."""
        return await open_store()
