"""The site's own tests, run by Django's own runner: see ``test_with_djangos_runner.py``."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import AsyncClient, Client, TestCase, TransactionTestCase

from .models import Note


class InATransaction(TestCase):
    """``TestCase`` keeps all in a transaction of the test's thread: pipelines of sync steps are in it."""

    @classmethod
    def setUpTestData(cls) -> None:
        Note.objects.create(text="one")

    def test_a_linear_pipeline_sees_what_the_test_wrote(self) -> None:
        Note.objects.create(text="two")
        reply = self.client.post("/several/counting/invoke", {"parameters": {}}, content_type="application/json")
        self.assertEqual(list(reply.json()["outputs"].values()), [2])

    def test_what_it_writes_is_undone(self) -> None:
        data = {"parameters": {"text": "three"}}
        self.client.post("/several/writing/invoke", data, content_type="application/json")
        self.assertEqual(Note.objects.count(), 2)

    async def test_steps_for_the_requests_thread_see_it_under_asgi(self) -> None:
        data = {"parameters": {"text": "three"}}
        reply = await self.async_client.post("/several/writing/invoke", data, content_type="application/json")
        self.assertEqual(list(reply.json()["outputs"].values()), [True])
        self.assertEqual(await Note.objects.acount(), 2)

    def test_a_login(self) -> None:
        self.client.force_login(User.objects.create_user("ann"))
        reply = self.client.post("/several/whoami/invoke", {"parameters": {}}, content_type="application/json")
        self.assertIn("ann of django", reply.content.decode())

    def test_the_token_is_asked_for_if_the_client_says_so(self) -> None:
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.create_user("ann"))
        reply = client.post("/several/whoami/invoke", {"parameters": {}}, content_type="application/json")
        self.assertEqual(reply.json()["code"], "csrf-failed")


class Committed(TransactionTestCase):
    """Steps in threads of their own see what was committed."""

    async def test_asgi(self) -> None:
        await Note.objects.acreate(text="one")
        data: dict[str, dict[str, str]] = {"parameters": {}}
        reply = await AsyncClient().post("/several/counting/invoke", data, content_type="application/json")
        self.assertEqual(list(reply.json()["outputs"].values()), [1])
