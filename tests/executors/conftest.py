from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.clusters import Engine, dask_cluster, ray_here


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    pytest.importorskip("distributed", reason="needs Dask")
    with dask_cluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray() -> Iterator[Engine]:
    pytest.importorskip("ray", reason="needs Ray")
    with ray_here() as engine:
        yield engine


@pytest.fixture(params=["dask", pytest.param("ray", marks=pytest.mark.full)])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["dask", "ray"])
def each_engine(request: pytest.FixtureRequest) -> Engine:
    """For what is shown of Ray in every run; the rest is, too, with ``--full``."""
    found: Engine = request.getfixturevalue(request.param)
    return found
