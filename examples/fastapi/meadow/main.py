"""The application: ``uvicorn meadow.main:app``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.sessions import SessionMiddleware

from . import api, ask, database, identify, pages, trainings
from .pipelines import pipelines
from .settings import Settings

__all__ = ["app", "create_app"]


def create_app(settings: Settings) -> FastAPI:
    """Meadow with its database made and every page in its place."""
    database.prepare(settings.database, settings.password)
    app = FastAPI(title="Meadow", version="2.2.0", lifespan=pipelines.lifespan)
    app.state.settings = settings
    app.add_middleware(SessionMiddleware, secret_key=settings.secret, session_cookie="meadow", same_site="strict")
    app.include_router(api.router)
    app.include_router(pages.router)
    app.include_router(identify.router)
    app.include_router(ask.router)
    app.include_router(trainings.router)
    app.mount("/ai", pipelines, name="ai")
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    return app


app = create_app(Settings.from_env())
