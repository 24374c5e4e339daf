"""What a server is told to serve: ``pipemount.testing.hosts.serve:app``, the product in the form that was set up."""

from __future__ import annotations

import os
from typing import Any

from .host import find_host
from .product import Product
from .setup import VARIABLE, Setup
from .tracing import traced, traced_wsgi

__all__ = ["app", "create"]


def create() -> Any:
    """The application of this process."""
    setup = Setup.read()
    host = find_host(setup.host)()
    host.configure(setup)
    product = Product(setup, host.pipelines(setup))
    built = host.forms()[setup.form].build(host, product)
    return traced(built) if host.kind == "asgi" else traced_wsgi(built)


app = create() if VARIABLE in os.environ else None
"""The product; nothing where nobody has set one up, so that importing this module starts nothing."""
