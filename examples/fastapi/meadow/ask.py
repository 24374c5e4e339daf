"""The page on which staff ask about a specimen and read the answer while it is written.

A browser with scripts has the answer made as a job, ``meadow/static/ask.js`` follows it. One without waits for it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Form, Header, HTTPException, Request, Response, status
from fastapi.responses import JSONResponse

from pipemount import PipemountError

from .database import Connection, Specimen, find_specimen
from .pages import templates
from .pipelines import pipelines
from .sessions import ApiStaff, PageStaff

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
GUARDED = {"Content-Security-Policy": "default-src 'self'"}
LINKS = {"events": "read", "cancel": "cancel"}
"""What the script gets, and the permission that its token has."""


def _specimen(specimen_id: int, connection: Connection) -> Specimen:
    found = find_specimen(connection, specimen_id)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no specimen has the number {specimen_id}")
    return found


Found = Annotated[Specimen, Depends(_specimen)]


@router.get("/specimens/{specimen_id}/ask", name="ask")
def form(request: Request, staff: PageStaff, specimen: Found) -> Response:
    """The empty form."""
    return templates.TemplateResponse(request, "ask.html", {"staff": staff, "specimen": specimen}, headers=GUARDED)


@router.post("/specimens/{specimen_id}/ask")
async def ask(request: Request, staff: PageStaff, specimen: Found, question: Annotated[str, Form()]) -> Response:
    """Without scripts: the form again, with the whole answer or with what is wrong."""
    context, code = {"staff": staff, "specimen": specimen, "question": question}, status.HTTP_200_OK
    try:
        result = await pipelines.calling(principal=staff).run("advice", specimen=specimen.id, question=question)
        context["answer"] = result.outputs["answer"]
    except PipemountError as error:
        context["error"], code = str(error), error.status
    return templates.TemplateResponse(request, "ask.html", context, code, headers=GUARDED)


@router.post("/api/specimens/{specimen_id}/answers", name="answers")
async def begin(
    request: Request,
    staff: ApiStaff,
    specimen: Found,
    question: Annotated[str, Body(embed=True)],
    idempotency_key: Annotated[str, Header()],
) -> Response:
    """With scripts: begin the answer, or find the one that this key began, and say where it can be followed."""
    inputs = {"parameters": {"specimen": specimen.id, "question": question}}
    async with pipelines.client(principal=staff) as client:
        accepted = await client.post("/advice/submit", json=inputs, headers={"Idempotency-Key": idempotency_key})
    if accepted.is_error:  # a problem document, which is as good for the script as for us
        return Response(accepted.content, accepted.status_code, {"Content-Type": accepted.headers["content-type"]})
    job, mount = accepted.json()["job_id"], str(request.url_for("ai", path="/"))
    links = {what: pipelines.sign(job, needed).url(mount, what) for what, needed in LINKS.items()}
    return JSONResponse({"job": job, **links}, status.HTTP_202_ACCEPTED, {"Cache-Control": "no-store"})
