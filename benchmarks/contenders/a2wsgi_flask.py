"""The same pipelines beside a Flask application, through another bridge: a2wsgi."""

from __future__ import annotations

from a2wsgi import ASGIMiddleware
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from contenders.ours import pipelines, weather_sync

app = DispatcherMiddleware(Flask(__name__), {"/ai": ASGIMiddleware(pipelines(weather_sync))})
