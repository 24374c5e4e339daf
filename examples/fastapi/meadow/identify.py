"""The page on which staff enter the measurements of an iris and learn its species."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from pipemount import PipemountError

from .database import Connection, NewSpecimen, Short, add_specimen
from .pages import see_other, templates
from .pipelines import Measurements, pipelines
from .sessions import PageStaff

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
FIELDS = Measurements.model_json_schema()["properties"]


class Flower(BaseModel):
    """The form as it was sent; whether the measurements make sense is for the pipeline to say."""

    label: Short
    bed: Short
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


@router.get("/identify", name="identify")
def form(request: Request, staff: PageStaff) -> Response:
    """The empty form."""
    return templates.TemplateResponse(request, "identify.html", {"staff": staff, "fields": FIELDS, "flower": {}})


@router.post("/identify")
async def identify(
    request: Request, connection: Connection, staff: PageStaff, flower: Annotated[Flower, Form()]
) -> Response:
    """Ask the pipeline, write the specimen down and show it; or show the form again with what is wrong."""
    entered = flower.model_dump()
    try:
        result = await pipelines.run("iris", measurements=flower.model_dump(include=set(FIELDS)))
    except PipemountError as error:
        context = {"staff": staff, "fields": FIELDS, "flower": entered, "error": str(error)}
        return templates.TemplateResponse(request, "identify.html", context, error.status)
    specimen = NewSpecimen(
        label=flower.label,
        bed=flower.bed,
        species=f"Iris {result.outputs['species']}",
        note=result.outputs["explanation"],
    )
    stored = await run_in_threadpool(add_specimen, connection, specimen, recorded_by=staff)
    return see_other(request, "specimen", specimen_id=stored.id)
