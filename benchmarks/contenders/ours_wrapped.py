"""Wrapped around a FastAPI application."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.ours import pipelines

app = pipelines().wrap(FastAPI(), "/ai")
