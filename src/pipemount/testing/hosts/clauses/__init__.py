"""The clauses, by what they are about. To import this package registers them."""

from . import requests, starting

__all__ = ["requests", "starting"]
