"""Jobs in Django's admin: who sees them, what is shown, what may be done."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html import unescape
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import include, path, reverse
from tests.django.site.pipelines import waiting, weather
from tests.support.endings import until_ended

from pipemount import Local, PipelineApp, PipelineError, Settings, StepContext, acting_as, pipeline, step
from pipemount.errors import StoreError

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/pipemount/job/"


@step
def grumble(word: str, context: StepContext) -> str:
    context.emit(f"<b>{word}</b>")
    raise PipelineError("not today", status=418)


@pipeline
def grumbling(word: str = "no") -> Any:
    return grumble(word)


ALL = {"weather": weather, "waiting": waiting, "grumbling": grumbling}


@pytest.fixture(params=["memory", "sqlite"])
def app(
    request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[PipelineApp]:
    """An app of its own for each test, at ``/ai/`` of a project with the admin."""
    jobs = Local(f"sqlite:///{tmp_path / 'jobs.db'}") if request.param == "sqlite" else None
    app = PipelineApp(ALL, jobs=jobs, settings=Settings(cleanup_timeout=0.1))
    patterns = [path("admin/", admin.site.urls), path("ai/", include(app.django_urls()))]
    monkeypatch.setitem(sys.modules, "urls_of_a_test", SimpleNamespace(urlpatterns=patterns))
    settings.ROOT_URLCONF = "urls_of_a_test"
    yield app
    app.lifecycle.close()


def staff(*codenames: str, name: str = "ann") -> Client:
    """Somebody who may enter the admin, and has these permissions."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="pipemount", codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def text(answer: Any) -> str:
    """What a page says, without its tags."""
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", answer.content.decode())))


def listed(client: Client, query: str = "") -> list[str]:
    """The ids in the list."""
    page = client.get(LIST + query).content.decode()
    return re.findall(r'<th><a href="/admin/pipemount/job/([^/]+)/change/">', page)


def test_migrate_makes_permissions_and_no_table(django_db_blocker: Any) -> None:
    codenames = Permission.objects.filter(content_type__app_label="pipemount").values_list("codename", flat=True)
    assert set(codenames) == {"view_job", "cancel_job", "retry_job"}
    call_command("makemigrations", "--check", "--dry-run", stdout=StringIO())
    written = StringIO()
    call_command("dumpdata", stdout=written)
    assert "pipemount.job" not in written.getvalue()
    call_command("check")


def test_who_may_view_jobs_sees_them(app: PipelineApp) -> None:
    assert staff(name="bob").get(LIST).status_code == 403
    assert Client().get(LIST).status_code == 302
    client = staff("view_job")
    assert LIST in client.get("/admin/").content.decode()
    assert "No jobs." in text(client.get(LIST))
    with acting_as("eve", source="django"):
        job = app.submit_sync("weather", city="Oslo")
    until_ended(app, job)
    page = text(client.get(LIST))
    assert all(told in page for told in (job.id, "succeeded", "weather", "django:eve"))
    assert ("in the memory of this process" in page) == (not app.jobs.store.durable)
    assert "Action" not in page
    assert client.get(LIST + "add/").status_code == 403
    assert client.post(LIST, {"action": "cancel", "_selected_action": [job.id]}).status_code == 403


def test_the_list_is_filtered_and_has_pages(app: PipelineApp) -> None:
    client = staff("view_job")
    ids = [until_ended(app, app.submit_sync(name)).id for name in ("weather", "grumbling", "weather")]
    assert listed(client) == ids[::-1]
    assert listed(client, "?status=failed") == [ids[1]]
    assert listed(client, "?pipeline=weather") == [ids[2], ids[0]]
    assert listed(client, "?pipeline=weather&status=failed") == []
    assert listed(client, "?status=nonsense") == ids[::-1]
    chosen = re.findall(
        r'<li class="selected"><a href="[^"]*">(\w+)', client.get(LIST + "?status=failed").content.decode()
    )
    assert chosen == ["failed", "All"]
    many = [app.submit_sync("weather").id for _ in range(50)]
    first = client.get(LIST)
    assert len(listed(client)) == 50
    more = unescape(re.search(r'href="([^"]*)">Older ones', first.content.decode())[1])  # type: ignore[index]  # is there
    assert listed(client, more) == ids[::-1]
    assert set(listed(client)) == set(many)
    assert "cannot be listed" in text(client.get(LIST + "?cursor=nonsense"))


def test_a_job_has_a_page(app: PipelineApp) -> None:
    client = staff("view_job")
    done = until_ended(app, app.submit_sync("weather", city="Oslo"))
    page = text(client.get(reverse("admin:pipemount_job_change", args=[done.id])))
    assert all(told in page for told in ('"city": "Oslo"', "The weather in Oslo is", "run_started", "run_completed"))
    failed = until_ended(app, app.submit_sync("grumbling"))
    answer = client.get(f"{LIST}{failed.id}/change/")
    page = text(answer)
    assert all(told in page for told in ("not today", '"status": 418', "step_started", "run_failed"))
    assert "<b>no</b>" in page
    assert b"<b>no</b>" not in answer.content  # what steps say is text
    assert client.get(f"{LIST}nothing/change/").status_code == 404


def test_the_page_of_a_job_that_runs_does_not_wait_for_it(app: PipelineApp) -> None:
    client = staff("view_job", "cancel_job", "retry_job")
    job = app.submit_sync("waiting", seconds=600)
    for event in app.events_sync(job):
        if event.kind == "step_started":
            break
    page = client.get(f"{LIST}{job.id}/change/")
    assert "step_started" in text(page)
    assert 'value="cancel"' in page.content.decode()
    assert 'value="retry"' not in page.content.decode()
    answer = client.post(f"{LIST}{job.id}/change/", {"action": "cancel"}, follow=True)
    assert "Cancelled, or asked to end: 1." in text(answer)
    assert until_ended(app, job).reason == "cancelled on request of ann"
    page = client.get(f"{LIST}{job.id}/change/")
    assert 'value="retry"' in page.content.decode()


def test_jobs_are_cancelled_and_retried_by_those_who_may(app: PipelineApp) -> None:
    client = staff("view_job", "retry_job")
    with acting_as("eve", source="django"):
        failed = until_ended(app, app.submit_sync("grumbling", word="why"))
    done = until_ended(app, app.submit_sync("weather"))
    assert client.post(LIST, {"action": "cancel", "_selected_action": [failed.id]}).status_code == 403
    answer = client.post(LIST, {"action": "retry", "_selected_action": [failed.id, done.id, "nothing"]}, follow=True)
    page = text(answer)
    assert "Retried, each as a new job: 1." in page
    assert f"{done.id}: the job has succeeded and cannot be retried" in page
    assert "Job nothing: no such job" in page
    [again] = [job for job in app.list_sync(pipeline="grumbling").jobs if job.id != failed.id]
    assert (again.parameters, again.request.principal.name) == ({"word": "why"}, "eve")  # type: ignore[union-attr]  # hers
    assert not again.request.principal.may("admin")  # type: ignore[union-attr]  # nor made one by who asked
    [entry] = LogEntry.objects.all()
    assert (entry.object_id, entry.user.get_username()) == (failed.id, "ann")
    assert again.id in entry.get_change_message()
    assert "No action selected." in text(client.post(LIST, {"_selected_action": [done.id]}, follow=True))
    assert "No job was selected." in text(client.post(LIST, {"action": "retry"}, follow=True))


def test_a_store_that_cannot_be_reached_is_told(app: PipelineApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*args: Any) -> Any:
        raise StoreError("the disk is on fire")

    app.run_sync("weather")
    monkeypatch.setattr(app.jobs.store, "list", fails)
    client = staff("view_job")
    assert "The jobs cannot be listed: the disk is on fire" in text(client.get(LIST))
    monkeypatch.setattr(app.jobs.store, "get", fails)
    assert "The job cannot be shown: the disk is on fire" in text(client.get(f"{LIST}x/change/", follow=True))


def test_several_mounts_are_told_apart(app: PipelineApp, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = PipelineApp(weather, settings=Settings(cleanup_timeout=0.1))
    patterns = [
        path("admin/", admin.site.urls),
        path("ai/", include(app.django_urls())),
        path("other/", include(other.django_urls(name="other"))),
    ]
    monkeypatch.setitem(sys.modules, "two_mounts", SimpleNamespace(urlpatterns=patterns))
    settings.ROOT_URLCONF = "two_mounts"
    first, second = until_ended(app, app.submit_sync("weather")), until_ended(other, other.submit_sync())
    client = staff("view_job")
    assert listed(client) == [first.id]
    assert listed(client, "?mount=other") == [second.id]
    assert "By mount" in text(client.get(LIST))
    assert second.id in text(client.get(f"{LIST}{second.id}/change/"))
    other.lifecycle.close()


def test_a_project_without_pipelines(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = [path("admin/", admin.site.urls)]
    monkeypatch.setitem(sys.modules, "no_mounts", SimpleNamespace(urlpatterns=patterns))
    settings.ROOT_URLCONF = "no_mounts"
    client = staff("view_job")
    assert "No jobs." in text(client.get(LIST))
    assert client.get(f"{LIST}x/change/").status_code == 404
