"""A host at a mount, for real servers; ``MOUNT`` is where, ``HOST`` what with. There are no keys."""

from __future__ import annotations

import os

from tests.contract.catalogue import HOSTS, weather

from pipemount import PipelineApp

app = HOSTS[os.environ["HOST"]](PipelineApp(weather), os.environ["MOUNT"])
