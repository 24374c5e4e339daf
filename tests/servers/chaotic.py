"""A product whose processes are killed while it works: two steps a job, each of which notes that it ran, and where."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from pipemount import Local, PipelineApp, Settings, StepContext, pipeline, step

RAN = Path(os.environ.get("RAN", "ran.log"))


def note(words: str) -> None:
    """One line; written at once, so that none is torn."""
    with RAN.open("ab", buffering=0) as file:
        file.write(f"{words}\n".encode())


@step
async def first(number: int, context: StepContext) -> int:
    note(f"begun {context.run_id} {os.getpid()}")
    await asyncio.sleep(0.03)
    note(f"first {context.run_id}")
    return number + 1


@step
async def second(number: int, context: StepContext) -> int:
    await asyncio.sleep(0.03)
    note(f"second {context.run_id}")
    return number * 10


def tell_up() -> None:
    note(f"up {os.getpid()}")


@pipeline(on_init=tell_up)
def work(number: int) -> object:
    return second(first(number))


def made() -> PipelineApp:
    """The app, in the database that the environment names."""
    settings = Settings(max_concurrency=4, max_queue=1000, cleanup_timeout=1.0, job_heartbeat=1.0, job_lease=4.0)
    return PipelineApp(
        work, settings=settings, jobs=Local(os.environ["DATABASE"], app="tests.servers.chaotic:pipelines")
    )


def tell() -> None:
    """What is logged, with the time and the process, in a file of its own as well."""
    told: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(RAN.with_suffix(".told"))]
    logging.basicConfig(format="%(created).3f %(process)d %(message)s", handlers=told)


if "DATABASE" in os.environ:
    tell()
    pipelines = made()

if os.environ.get("HOST") == "django":
    import django
    from django.conf import settings as django_settings
    from django.core.asgi import get_asgi_application
    from django.urls import include, path

    django_settings.configure(
        SECRET_KEY="for tests", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], INSTALLED_APPS=["pipemount.django"]
    )
    django.setup()
    urlpatterns = [path("ai/", include(pipelines.django_urls()))]
    app = pipelines.wrap(get_asgi_application())  # type: ignore[arg-type]  # Django's scopes are plain dicts
elif os.environ.get("HOST") == "fastapi":
    from fastapi import FastAPI

    app = FastAPI(lifespan=pipelines.lifespan)  # type: ignore[assignment]  # one of two hosts
    app.mount("/ai", pipelines)  # type: ignore[attr-defined]  # of that one
