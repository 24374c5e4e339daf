"""Any ASGI application as a WSGI callable."""

from __future__ import annotations

from .dispatch import Dispatcher
from .wsgi import WSGIBridge

__all__ = ["Dispatcher", "WSGIBridge"]
