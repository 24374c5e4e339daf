"""One conformance suite for hosts: what pipelines promise inside a team's application, on real servers.

A host is one class (``Host``), a server one line of ``SERVERS``, a clause one function. ``run_pair`` holds a host on a
server to them; ``python -m pipemount.testing.hosts --write docs/host-matrix.md`` does so for all and writes the table.
Needs nothing but what the hosts and servers need.
"""

from . import clauses
from .clause import CLAUSES, BrokenClauseError, Clause, clause, expect, same
from .client import Client, OpenStream, Reply
from .host import HOSTS, Form, Host, find_host, form
from .outcomes import Outcome, run_all, run_pair
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
    "Outcome",
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
    "run_all",
    "run_pair",
    "same",
    "serving",
    "wait_until",
]
