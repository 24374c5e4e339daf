"""Beside a Flask application, through our own bridge: the form that a2wsgi has."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from contenders.ours import pipelines, weather_sync

app = DispatcherMiddleware(Flask(__name__), {"/ai": pipelines(weather_sync).wsgi})
