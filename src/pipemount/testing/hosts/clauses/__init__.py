"""The clauses, by what they are about. To import this package registers them."""

from . import starting, requests, paths, login, users, bodies, streams, threads, django, flask  # isort: skip

__all__ = ["bodies", "django", "flask", "login", "paths", "requests", "starting", "streams", "threads", "users"]
