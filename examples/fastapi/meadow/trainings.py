"""The pages on which staff have the classifier trained, follow that, and find it again.

A training is a durable job, and its page is at its id: whatever happens to the browser and the server, it is there. The
pages work without scripts; where there are some, ``meadow/static/training.js`` shows what is being done.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse

from pipemount import PipemountError
from pipemount.errors import NotFoundError

from .ask import GUARDED
from .pages import see_other, templates
from .pipelines import pipelines
from .sessions import ApiStaff, PageStaff
from .training import CANDIDATES

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

SHOWN = 50
LONGEST = 3600.0
"""Seconds that a training may take."""

STEPS = {
    "load": "The flowers are loaded",
    "split": "Some of them are held out",
    "try_out": "All ways to learn are tried",
    "choose": "The best is chosen",
    "fit": "It has learnt from all that is known",
    "examine": "It is examined with those that were held out",
    "save": "It is stored",
}
SAID = {
    "queued": "It waits for its turn.",
    "running": "It is under way.",
    "cancelling": "It is being stopped.",
    "succeeded": "It is complete.",
    "failed": "It has failed.",
    "cancelled": "It was stopped.",
}


async def _training(job: str, staff: ApiStaff) -> Any:
    """The training with this id, if the member of staff has begun it."""
    try:
        found = await pipelines.calling(principal=staff).get(job)
    except NotFoundError as error:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "there is no such training") from error
    if found.pipeline != "training" or found.request.kind != "run":
        raise HTTPException(status.HTTP_404_NOT_FOUND, "there is no such training")
    return found


Training = Annotated[Any, Depends(_training)]


@router.get("/trainings", name="trainings")
async def trainings(request: Request, staff: PageStaff) -> Response:
    """The trainings that the member of staff has begun, the youngest first."""
    return await _list(request, staff)


@router.post("/trainings")
async def begin(request: Request, staff: PageStaff, rounds: Annotated[int, Form()]) -> Response:
    """Begin one and show it; or show the form again with what is wrong."""
    try:
        job = await pipelines.calling(principal=staff, timeout=LONGEST).submit("training", rounds=rounds)
    except PipemountError as error:
        return await _list(request, staff, rounds=rounds, error=error)
    return see_other(request, "training", job=job.id)


@router.get("/trainings/{job}", name="training")
def training(request: Request, staff: PageStaff, found: Training) -> Response:
    """One training: what is done of it, or what came of it."""
    return _show(request, staff, found)


@router.get("/api/trainings/{job}", name="training_record")
def record(request: Request, found: Training) -> Response:
    """For the page's script: whether it has ended, and a link to what happens in it that is good for an hour."""
    events = pipelines.sign(found.id).url(str(request.url_for("ai", path="/")), "events")
    return JSONResponse({"ended": found.ended, "events": events}, headers={"Cache-Control": "no-store"})


@router.post("/trainings/{job}/cancel", name="cancel_training")
async def cancel(request: Request, staff: PageStaff, found: Training) -> Response:
    """Stop it."""
    try:
        await pipelines.calling(principal=staff).cancel(found)
    except PipemountError as error:
        return _show(request, staff, found, error)
    return see_other(request, "training", job=found.id)


@router.post("/trainings/{job}/retry", name="retry_training")
async def retry(request: Request, staff: PageStaff, found: Training) -> Response:
    """Begin one that failed or was stopped anew, as another training, and show that."""
    try:
        job = await pipelines.calling(principal=staff).retry(found)
    except PipemountError as error:
        return _show(request, staff, found, error)
    return see_other(request, "training", job=job.id)


async def _list(request: Request, staff: str, rounds: int = 10, error: PipemountError | None = None) -> Response:
    page = await pipelines.calling(principal=staff).list(pipeline="training", limit=SHOWN)
    context = {
        "staff": staff,
        "rounds": rounds,
        "error": error,
        "jobs": [(job, _begun(job)) for job in page.jobs if job.request.kind == "run"],
        "said": SAID,
    }
    return templates.TemplateResponse(request, "trainings.html", context, error.status if error else 200)


def _show(request: Request, staff: str, found: Any, error: PipemountError | None = None) -> Response:
    scores = found.outputs["scores"] if found.status == "succeeded" else []
    context = {
        "staff": staff,
        "error": error,
        "job": found,
        "begun": _begun(found),
        "said": SAID[found.status],
        "steps": STEPS,
        "candidates": {
            name: next((score for score in scores if score["candidate"] == name), None) for name in CANDIDATES
        },
    }
    return templates.TemplateResponse(
        request, "training.html", context, error.status if error else 200, headers=GUARDED
    )


def _begun(job: Any) -> str:
    return f"{datetime.fromtimestamp(job.created, UTC):%Y-%m-%d %H:%M} UTC"
