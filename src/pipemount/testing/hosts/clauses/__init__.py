"""The clauses, by what they are about. To import this package registers them."""

from . import starting, requests, paths, login, users, bodies, streams, jobs, sockets, threads, django, flask  # isort: skip

__all__ = [
    "bodies",
    "django",
    "flask",
    "jobs",
    "login",
    "paths",
    "requests",
    "sockets",
    "starting",
    "streams",
    "threads",
    "users",
]
