"""Wrapped around a FastAPI application."""

from __future__ import annotations

from contenders.ours import pipelines
from fastapi import FastAPI

app = pipelines().wrap(FastAPI(), "/ai")
