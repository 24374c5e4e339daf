"""The clauses, by what they are about. To import this package registers them."""

from . import starting, requests, paths, login, users, bodies, streams, sockets, threads, django, flask  # isort: skip

__all__ = [
    "bodies",
    "django",
    "flask",
    "login",
    "paths",
    "requests",
    "sockets",
    "starting",
    "streams",
    "threads",
    "users",
]
