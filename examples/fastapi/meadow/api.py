"""Specimens as JSON, for the garden's label printer and its map."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, status

from .database import Connection, NewSpecimen, Specimen, add_specimen, find_specimen, list_specimens
from .sessions import ApiStaff

__all__ = ["router"]

router = APIRouter(prefix="/api", tags=["specimens"])


@router.get("/specimens")
def read_specimens(connection: Connection, staff: ApiStaff) -> list[Specimen]:
    """All specimens, the newest first."""
    return list_specimens(connection)


@router.get("/specimens/{specimen_id}")
def read_specimen(specimen_id: int, connection: Connection, staff: ApiStaff) -> Specimen:
    """One specimen."""
    specimen = find_specimen(connection, specimen_id)
    if specimen is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"no specimen has the number {specimen_id}")
    return specimen


@router.post("/specimens", status_code=status.HTTP_201_CREATED)
def write_specimen(specimen: NewSpecimen, connection: Connection, staff: ApiStaff) -> Specimen:
    """Write a specimen down."""
    return add_specimen(connection, specimen, recorded_by=staff)
