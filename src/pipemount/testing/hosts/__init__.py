"""One conformance suite for hosts: what pipelines promise inside a team's application, on real servers.

A host is one class (``Host``), a server one line of ``SERVERS``, a clause one function. ``check_host`` holds a host to
all clauses; ``python -m pipemount.testing.hosts --write docs/host-matrix.md`` holds all of them to it and writes the
table down. Needs nothing but what the hosts and servers need.
"""

from . import clauses
from .clause import CLAUSES, BrokenClauseError, Clause, clause, expect, same
from .client import Client, OpenStream, Reply
from .host import HOSTS, Form, Host, find_host, form
from .pairs import Pair, Running, pairs, pairs_of
from .process import ServerProcess, free_port, serving, wait_until
from .product import Page, Product
from .servers import SERVERS, Server
from .setup import KEY, Setup

__all__ = [
    "CLAUSES",
    "HOSTS",
    "KEY",
    "SERVERS",
    "BrokenClauseError",
    "Clause",
    "Client",
    "Form",
    "Host",
    "OpenStream",
    "Page",
    "Pair",
    "Product",
    "Reply",
    "Running",
    "Server",
    "ServerProcess",
    "Setup",
    "clause",
    "clauses",
    "expect",
    "find_host",
    "form",
    "free_port",
    "pairs",
    "pairs_of",
    "same",
    "serving",
    "wait_until",
]
