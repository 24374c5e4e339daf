"""The ASGI application: routing, invocation, problems, OpenAPI and the docs page."""
