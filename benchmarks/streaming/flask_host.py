"""The pipelines in Flask."""

from __future__ import annotations

from flask import Flask

from streaming.talk import pipelines

app = Flask(__name__)
pipelines.init_app(app, prefix="/")
