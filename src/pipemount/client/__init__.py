"""Clients of pipelines that are served somewhere: ``Client`` waits, ``AsyncClient`` is awaited. On httpx.

::

    from pipemount.client import Client

    with Client("https://shop.example/ai", key=key) as client:
        result = client.invoke(city="Oslo")
"""

from __future__ import annotations

from .asynchronous import AsyncClient
from .blocking import Client
from .records import Job, Result
from .retrying import Retries

__all__ = ["AsyncClient", "Client", "Job", "Result", "Retries"]
