"""The shop with a database of its own for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from kettle import create_app
from kettle.extensions import db
from kettle.seeds import fill
from visitors import ADA, PASSWORD, SAM, Visitor, settings


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as ``init-db`` and ``seed`` leave it."""
    file = tmp_path_factory.mktemp("kettle") / "seeded.sqlite3"
    app = create_app(settings(file, pipelines=False))
    with app.app_context():
        db.create_all()
        fill(PASSWORD)
        db.engine.dispose()
    return file


@pytest.fixture
def database(seeded: Path, tmp_path: Path) -> Path:
    """The same, to write into."""
    return Path(shutil.copy(seeded, tmp_path / "kettle.sqlite3"))


@pytest.fixture(params=[False, True], ids=["alone", "with pipelines"])
def app(request: pytest.FixtureRequest, database: Path) -> Iterator[Flask]:
    """The shop, once as it was and once with the pipelines in it."""
    app = create_app(settings(database, pipelines=request.param))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    """Somebody who has not signed in."""
    return Visitor(app.test_client())


@pytest.fixture
def ada(app: Flask) -> Visitor:
    """A customer who is signed in."""
    return Visitor(app.test_client()).sign_in(ADA)


@pytest.fixture
def sam(app: Flask) -> Visitor:
    """A member of staff who is signed in."""
    return Visitor(app.test_client()).sign_in(SAM)
