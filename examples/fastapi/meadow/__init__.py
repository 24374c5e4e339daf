"""Meadow: the specimen desk of a botanical garden."""
