"""Panels of the engineer's module: one a file."""
