"""Werkzeug's development server, as ``flask run`` starts it, for any WSGI application: ``module:name port``."""

import importlib
import sys

from werkzeug.serving import run_simple

if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    run_simple("127.0.0.1", int(sys.argv[2]), getattr(importlib.import_module(module), name), threaded=True)
