"""The pages that staff see in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request, Response, status
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates

from .database import Connection, NewSpecimen, add_specimen, find_specimen, list_specimens, stored_password
from .passwords import verify_password
from .sessions import PageStaff, sign_in, sign_out

__all__ = ["router", "see_other", "templates"]

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent / "templates")


def see_other(request: Request, route: str, **path_params: object) -> RedirectResponse:
    """After a form: the page to look at next, by the name of its route."""
    return RedirectResponse(request.url_for(route, **path_params), status.HTTP_303_SEE_OTHER)


@router.get("/login", name="login")
def login_form(request: Request) -> Response:
    """The login."""
    return templates.TemplateResponse(request, "login.html")


@router.post("/login")
def login(
    request: Request, connection: Connection, name: Annotated[str, Form()], password: Annotated[str, Form()]
) -> Response:
    """Sign in, or say that it did not work without saying which of the two was wrong."""
    if not verify_password(password, stored_password(connection, name)):
        context = {"name": name, "error": "That name and password do not go together."}
        return templates.TemplateResponse(request, "login.html", context, status.HTTP_401_UNAUTHORIZED)
    sign_in(request, name)
    return see_other(request, "specimens")


@router.post("/logout", name="logout")
def logout(request: Request) -> Response:
    """Sign out."""
    sign_out(request)
    return see_other(request, "login")


@router.get("/", name="specimens")
def specimens(request: Request, connection: Connection, staff: PageStaff) -> Response:
    """The table of specimens, and a form for the next one."""
    context = {"staff": staff, "specimens": list_specimens(connection)}
    return templates.TemplateResponse(request, "specimens.html", context)


@router.post("/")
def write_specimen(
    request: Request, connection: Connection, staff: PageStaff, specimen: Annotated[NewSpecimen, Form()]
) -> Response:
    """Write down what was entered in the form."""
    stored = add_specimen(connection, specimen, recorded_by=staff)
    return see_other(request, "specimen", specimen_id=stored.id)


@router.get("/specimens/{specimen_id}", name="specimen")
def specimen(request: Request, specimen_id: int, connection: Connection, staff: PageStaff) -> Response:
    """One specimen."""
    found = find_specimen(connection, specimen_id)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no specimen has the number {specimen_id}")
    return templates.TemplateResponse(request, "specimen.html", {"staff": staff, "specimen": found})
