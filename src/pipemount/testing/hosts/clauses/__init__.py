"""The clauses, by what they are about. To import this package registers them."""

from . import bodies, login, paths, requests, starting, streams, threads

__all__ = ["bodies", "login", "paths", "requests", "starting", "streams", "threads"]
