"""Beacon, the support desk of a broadband co-operative: the Django project."""
