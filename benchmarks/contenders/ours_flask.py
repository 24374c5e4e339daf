"""Registered on a Flask application."""

from __future__ import annotations

from flask import Flask

from contenders.ours import pipelines, weather_sync

app = Flask(__name__)
pipelines(weather_sync).init_app(app, prefix="/ai")
