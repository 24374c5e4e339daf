"""Answering through Django's handlers, by Django's own test clients."""

from __future__ import annotations

import pytest
from django.test import AsyncClient, Client

pytestmark = pytest.mark.django_db(transaction=True)

OSLO = {"parameters": {"city": "Oslo", "temperature": 3.0}}
ANSWER = "The weather in Oslo is 3.0 degrees Celsius."


def test_wsgi() -> None:
    reply = Client().post("/ai/invoke", OSLO, content_type="application/json")
    assert reply.status_code == 200, reply.content
    assert list(reply.json()["outputs"].values()) == [ANSWER]


async def test_asgi() -> None:
    reply = await AsyncClient().post("/ai/invoke", OSLO, content_type="application/json")
    assert reply.status_code == 200, reply.content
    assert list(reply.json()["outputs"].values()) == [ANSWER]
