"""Hayhooks: a Haystack pipeline of one component, deployed from its folder as Hayhooks wants it."""

from __future__ import annotations

import os
from pathlib import Path

# It reads its settings at import, and deploys what it finds in this folder when it starts.
os.environ["HAYHOOKS_PIPELINES_DIR"] = str(Path(__file__).parents[1] / "peers" / "hayhooks_pipelines")
os.environ["HAYHOOKS_ADDITIONAL_PYTHON_PATH"] = str(Path(__file__).parents[1])
os.environ.setdefault("LOG", "WARNING")

from hayhooks import create_app

app = create_app()
