"""Who is signed in: a signed cookie holds the name."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request, status

__all__ = ["ApiStaff", "PageStaff", "sign_in", "sign_out"]


def sign_in(request: Request, name: str) -> None:
    """Start a fresh session for ``name``."""
    request.session.clear()
    request.session["staff"] = name


def sign_out(request: Request) -> None:
    """End the session."""
    request.session.clear()


def _api_staff(request: Request) -> str:
    name = request.session.get("staff")
    if name is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "sign in at /login first")
    return str(name)


def _page_staff(request: Request) -> str:
    name = request.session.get("staff")
    if name is None:
        raise HTTPException(status.HTTP_303_SEE_OTHER, headers={"Location": str(request.url_for("login"))})
    return str(name)


ApiStaff = Annotated[str, Depends(_api_staff)]
"""The signed-in member of staff; 401 where there is none."""

PageStaff = Annotated[str, Depends(_page_staff)]
"""The same for pages: whoever is not signed in is sent to the login."""
