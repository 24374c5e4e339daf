"""A small Django project with pipelines in it."""
